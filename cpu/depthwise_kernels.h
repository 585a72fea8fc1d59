#pragma once
// Vector code of depthwise convolution, one image row of outputs at a time. T: float or bfloat16 activations.

#include <cstdint>

#include "tern/core/dtype.h"
#include "tern/ops/activation.h"

namespace tern::cpu {

// Output j reads the pixels (top + p delta_h, left + j step + q delta_w) of one image, taps p < taps_h and q
// < taps_w; pixels outside of the image are 0.
struct DepthwiseWindow {
  int64_t h, w, channels;
  int64_t columns;  // outputs of the row
  int64_t top, left, step;
  int64_t taps_h, taps_w, delta_h, delta_w;
};

// y = act(sum of weight x + bias)
template <class T>
struct DepthwiseRow {
  DepthwiseWindow window;
  const T* x;           // the image
  const float* weight;  // [tap][channels]
  const float* bias;    // may be null
  const float* slope;   // of PReLU
  Activation activation;
  T* y;
  int64_t y_pixel;  // elements from one output to the next
};

// sums[tap][channels] += dy x
template <class T>
struct DepthwiseGradient {
  DepthwiseWindow window;
  const T* x;
  const T* dy;  // [columns][channels]
  float* sums;
};

template <class T>
struct DepthwiseKernels {
  void (*row)(const DepthwiseRow<T>& a);
  void (*gradient)(const DepthwiseGradient<T>& a);
};

namespace baseline {
extern const DepthwiseKernels<float> depthwise_table;
extern const DepthwiseKernels<bfloat16> depthwise_bf16_table;
}  // namespace baseline
namespace avx2 {
extern const DepthwiseKernels<float> depthwise_table;
extern const DepthwiseKernels<bfloat16> depthwise_bf16_table;
}  // namespace avx2
namespace avx512 {
extern const DepthwiseKernels<float> depthwise_table;
extern const DepthwiseKernels<bfloat16> depthwise_bf16_table;
}  // namespace avx512

}  // namespace tern::cpu
