#pragma once
// What a backend provides for Tensor::to(). Float to integer truncates towards zero and is saturated to the
// range of the type (NaN gives 0); to Bool means "not equal to 0"; f32 to bf16 rounds to nearest, ties to
// even.

#include "tern/core/tensor.h"

namespace tern {

namespace cpu {
void cast(const Tensor& x, const Tensor& y);
}  // namespace cpu
namespace cu {
void cast(const Tensor& x, const Tensor& y);
}  // namespace cu

}  // namespace tern
