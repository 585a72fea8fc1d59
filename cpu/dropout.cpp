#include "tern/ops/dropout.h"

#include <type_traits>

#include "tern/core/parallel.h"
#include "tern/cpu/reference/dropout.h"

namespace tern::cpu {
namespace {

template <class T>
void dropout_as(const DropoutOptions& o, const Tensor& x, const Tensor& y) {
  const T* in = x.data<T>();
  T* out = y.mutable_data<T>();
  using Value = std::conditional_t<std::is_same_v<T, double>, double, float>;
  const auto formula = dropout_formula<Value>(o.seed, o.step, o.p);
  parallel_for(x.numel(), 4096,
               [&](int64_t begin, int64_t end) { reference::dropout(formula, in, out, begin, end); });
}

}  // namespace

void dropout(const DropoutOptions& options, const Tensor& x, const Tensor& y) {
  switch (x.dtype()) {
    case DType::F32: return dropout_as<float>(options, x, y);
    case DType::F64: return dropout_as<double>(options, x, y);
    case DType::BF16: return dropout_as<bfloat16>(options, x, y);
    default: break;
  }
  check<DTypeError>(false, "dropout: dtype ", x.dtype(),
                    " is not supported on the CPU, allowed are f32, f64 and bf16");
}

}  // namespace tern::cpu
