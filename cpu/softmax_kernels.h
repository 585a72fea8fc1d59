#pragma once
// Vector kernels of softmax, log-softmax and cross-entropy on rows of C f32 (cpu/softmax_kernels.cpp).

#include <cstdint>

namespace tern::cpu {

// stats = (m, s, sum of x - m) of a row.
struct SoftmaxKernels {
  void (*softmax)(const float* x, float* y, int64_t C);
  void (*softmax_backward)(const float* y, const float* dy, float* dx, int64_t C);
  void (*log_softmax)(const float* x, float* y, int64_t C);
  void (*log_softmax_backward)(const float* y, const float* dy, float* dx, int64_t C);
  void (*row_stats)(const float* x, int64_t C, float* stats);
  // dx_c = dloss (e^(x_c - m) / s - base)
  void (*cross_entropy_backward)(const float* x, int64_t C, float m, float s, float base, float dloss,
                                 float* dx);
};

namespace baseline {
extern const SoftmaxKernels softmax_table;
}
namespace avx2 {
extern const SoftmaxKernels softmax_table;
}
namespace avx512 {
extern const SoftmaxKernels softmax_table;
}

}  // namespace tern::cpu
