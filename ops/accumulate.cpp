// What the gradient engine needs from the operations: adding gradients up, undoing broadcasting, the seed of
// backward, and the test for finite values. Declared in core/autograd.h.

#include <cmath>

#include "tern/core/autograd.h"
#include "tern/core/parallel.h"
#include "tern/ops/creation.h"
#include "tern/ops/pointwise.h"
#include "tern/ops/reduce.h"

namespace tern::engine {
namespace {

template <class T>
void add_loop(const T* a, const T* b, T* y, int64_t n) {
  parallel_for(n, 1 << 14, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y[i] = a[i] + b[i];
  });
}

void add_on_cpu(const Tensor& a, const Tensor& b, const Tensor& y) {
  if (a.dtype() == DType::F64)
    add_loop(a.data<double>(), b.data<double>(), y.mutable_data<double>(), a.numel());
  else add_loop(a.data<float>(), b.data<float>(), y.mutable_data<float>(), a.numel());
}

// The exponent bits of an infinite or NaN bf16 are all ones.
bool finite_loop(const bfloat16* x, int64_t n) {
  constexpr uint16_t kExponent = 0x7f80;
  bool finite = true;
  for (int64_t i = 0; i < n; ++i) finite &= (x[i].bits & kExponent) != kExponent;
  return finite;
}

template <class T>
bool finite_loop(const T* x, int64_t n) {
  // x - x is 0 for a finite x and NaN otherwise: a sum the compiler can vectorise.
  T sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i] - x[i];
  return sum == 0;
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  if (!(a.shape() == b.shape()) || a.dtype() != b.dtype()) [[unlikely]] {  // the text only where it is needed
    check<ShapeError>(false, "backward: gradients ", describe(a), " and ", describe(b),
                      " of one tensor do not match");
  }
  if (a.dtype() == DType::BF16 || (a.device().is_cuda() && !sole_owner(a))) return tern::add(a, b);
  const Tensor y = sole_owner(a) ? a : Tensor::empty(a.shape(), a.options());
  on_device(
      a.device(), [&] { add_on_cpu(a, b, y); }, [&] { cu::add_in_place(y, b); });
  return y;
}

Tensor sum_to(const Tensor& gradient, const Shape& shape) {
  Tensor g = gradient;
  while (g.rank() > shape.rank()) g = sum(g, 0);
  for (int axis = 0; axis < shape.rank(); ++axis)
    if (shape[axis] == 1 && g.size(axis) != 1) g = sum(g, axis, true);
  check<ShapeError>(g.shape() == shape, "backward: gradient ", gradient.shape(), " does not reduce to ",
                    shape);
  return g;
}

Tensor ones_like(const Tensor& y) { return ones(y.shape(), y.options()); }

bool all_finite(const Tensor& x) {
  // Only asked where a step that failed is run again to name the operation.
  if (x.device().is_cuda()) return all_finite(x.detach().to(kCpu));
  if (x.dtype() == DType::F64) return finite_loop(x.data<double>(), x.numel());
  if (x.dtype() == DType::BF16) return finite_loop(x.data<bfloat16>(), x.numel());
  return finite_loop(x.data<float>(), x.numel());
}

}  // namespace tern::engine
