#pragma once
// bf16 tensors for code that computes on f32 alone: the naive loops, and f32 kernels where there are no bf16
// ones. Costs an f32 copy of the tensor.

#include "tern/ops/cast.h"

namespace tern::cpu {

// x in f32; x itself if it is not bf16.
inline Tensor widened(const Tensor& x) {
  if (!x.defined() || x.dtype() != DType::BF16) return x;
  const Tensor wide = Tensor::empty(x.shape());
  cast(x, wide);
  return wide;
}

// run(out), out an f32 tensor like y that is then rounded into y; run(y) if y is not bf16 or undefined.
template <class Run>
void narrowing(const Tensor& y, const Run& run) {
  if (!y.defined() || y.dtype() != DType::BF16) return run(y);
  const Tensor wide = Tensor::empty(y.shape());
  run(wide);
  cast(wide, y);
}

}  // namespace tern::cpu
