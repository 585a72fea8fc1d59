#pragma once
// What follows a convolution, applied where its output has just been written and is still in the cache.

#include <cstdint>

#include "tern/core/dtype.h"
#include "tern/ops/activation.h"

namespace tern::cpu {

// n channels of each of some pixels, `stride` elements apart: y = act(y + residual).
template <class T>
struct EpilogueJob {
  T* y;
  const T* residual;   // may be null; lies as y does
  const float* slope;  // [n], of PReLU
  int64_t n, pixels, stride;
  Activation activation;
};

template <class T>
struct EpilogueKernels {
  void (*run)(const EpilogueJob<T>& job);
};

namespace baseline {
extern const EpilogueKernels<float> epilogue_table;
extern const EpilogueKernels<bfloat16> epilogue_bf16_table;
}  // namespace baseline
namespace avx2 {
extern const EpilogueKernels<float> epilogue_table;
extern const EpilogueKernels<bfloat16> epilogue_bf16_table;
}  // namespace avx2
namespace avx512 {
extern const EpilogueKernels<float> epilogue_table;
extern const EpilogueKernels<bfloat16> epilogue_bf16_table;
}  // namespace avx512

}  // namespace tern::cpu
