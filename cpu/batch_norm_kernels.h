#pragma once
// Vector code of batch normalisation. A kernel works on a block: some rows times at most kPanelBlock
// channels of a row-major matrix whose rows are `stride` elements apart; every pointer below points at the
// block's first element. T is the type of the activations, float or bfloat16.

#include <cstdint>

#include "tern/core/dtype.h"
#include "tern/cpu/panel_sizes.h"
#include "tern/ops/activation.h"

namespace tern::cpu {

struct BatchNormBlock {
  int64_t rows, channels, stride;
};

// z = (x - shift) scale + bias [+ residual]; below 0 PReLU's slope. Per channel.
struct BatchNormConstants {
  const float *shift, *scale, *bias, *slope;
};

// y = act(z), and bit r % 32 of mask[r / 32][c] where z is above 0.
template <class T>
struct BatchNormApply {
  const T* x;
  const T* residual;  // may be null
  BatchNormConstants of;
  Activation activation;
  T* y;
  int32_t* mask;  // may be null; with ReLU only
};

// g = dy act'(z): the sign of z from the mask if there is one, else from z.
template <class T>
struct BatchNormGate {
  const T* dy;
  const T* x;
  const T* residual;  // may be null
  BatchNormConstants of;
  Activation activation;
  const int32_t* mask;  // may be null
};

struct BatchNormSums {
  double* g;      // sum g
  double* gx;     // sum g (x - shift)
  double* slope;  // sum of dy z where z <= 0; written with PReLU only
};

// dx = factor g [+ tilt (x - shift) + offset]
template <class T>
struct BatchNormBackward {
  const float *factor, *tilt, *offset;
  bool training;  // false: the bracket is left out
  T* dx;          // may be dy
  T* dresidual;   // may be null
};

template <class T>
struct BatchNormKernels {
  // Mean and sum of squared deviations of each channel of the block.
  void (*statistics)(const BatchNormBlock& b, const T* x, double* mean, double* squares);
  void (*apply)(const BatchNormBlock& b, const BatchNormApply<T>& a);
  void (*backward_reduce)(const BatchNormBlock& b, const BatchNormGate<T>& a, const BatchNormSums& sums);
  void (*backward_apply)(const BatchNormBlock& b, const BatchNormGate<T>& a, const BatchNormBackward<T>& to);
};

namespace baseline {
extern const BatchNormKernels<float> batch_norm_table;
extern const BatchNormKernels<bfloat16> batch_norm_bf16_table;
}  // namespace baseline
namespace avx2 {
extern const BatchNormKernels<float> batch_norm_table;
extern const BatchNormKernels<bfloat16> batch_norm_bf16_table;
}  // namespace avx2
namespace avx512 {
extern const BatchNormKernels<float> batch_norm_table;
extern const BatchNormKernels<bfloat16> batch_norm_bf16_table;
}  // namespace avx512

}  // namespace tern::cpu
