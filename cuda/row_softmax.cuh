#pragma once
// What softmax and cross-entropy share on a GPU: maximum and sum of exponentials of a row by a group of
// threads.

#include "tern/core/error.h"
#include "tern/cuda/rows.cuh"
#include "tern/ops/math.h"

namespace tern::cu {

template <int kThreads>
__device__ __forceinline__ float row_maximum(const float* x, int64_t C, int lane) {
  const float lowest = -__builtin_inff();
  float m = lowest;
  for (int64_t c = lane; c < C; c += kThreads) m = MaximumOf{}(m, x[c]);
  return row_reduce<kThreads>(m, MaximumOf{}, lowest);
}

template <int kThreads>
__device__ __forceinline__ float row_exp_sum(const float* x, float m, int64_t C, int lane) {
  float s = 0;
  for (int64_t c = lane; c < C; c += kThreads) s += math::exp(x[c] - m);
  return row_sum<kThreads>(s);
}

inline void check_row_type(const char* op, const Tensor& x) {
  check<DTypeError>(x.dtype() == DType::F32, op, ": dtype ", x.dtype(),
                    " is not supported on cuda, allowed is f32; hint: ",
                    x.dtype() == DType::F64 ? "compute f64 on the CPU" : "cast with to(DType::F32)");
}

}  // namespace tern::cu
