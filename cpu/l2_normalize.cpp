#include "tern/ops/l2_normalize.h"

#include <algorithm>

#include "tern/core/parallel.h"
#include "tern/cpu/grain.h"
#include "tern/cpu/reference/l2_normalize.h"

namespace tern::cpu {
namespace {

template <class T>
void forward(const Tensor& x, double eps, const Tensor& y, const Tensor& inverse) {
  const int64_t d = x.size(-1);
  const T* source = x.data<T>();
  T* target = y.mutable_data<T>();
  double* scale = inverse.mutable_data<double>();
  parallel_for(inverse.numel(), row_grain(d), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      reference::l2_normalize_row(source + i * d, d, eps, target + i * d, scale + i);
  });
}

template <class T>
void backward(const Tensor& dy, const Tensor& y, const Tensor& inverse, const Tensor& dx) {
  const int64_t d = y.size(-1);
  const T* gradient = dy.data<T>();
  const T* unit = y.data<T>();
  const double* scale = inverse.data<double>();
  T* target = dx.mutable_data<T>();
  parallel_for(inverse.numel(), row_grain(d), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      reference::l2_normalize_backward_row(gradient + i * d, unit + i * d, scale[i], d, target + i * d);
  });
}

}  // namespace

void l2_normalize_forward(const Tensor& x, double eps, const Tensor& y, const Tensor& inverse) {
  if (x.dtype() == DType::F64) return forward<double>(x, eps, y, inverse);
  forward<float>(x, eps, y, inverse);
}

void l2_normalize_backward(const Tensor& dy, const Tensor& y, const Tensor& inverse, const Tensor& dx) {
  if (y.dtype() == DType::F64) return backward<double>(dy, y, inverse, dx);
  backward<float>(dy, y, inverse, dx);
}

}  // namespace tern::cpu
