#pragma once
// What a convolution does on kernels of our own (cuda/conv2d.cu): what cuDNN does not fuse, and the gradient
// of the bias. Pointers are device memory; `rows` of `channels` neighbouring values, f32 or bf16.

#include <cstdint>

#include "tern/core/device.h"
#include "tern/core/dtype.h"
#include "tern/ops/activation.h"

namespace tern::cu {

struct ChannelEpilogue {
  const float* bias = nullptr;     // [channels]
  const void* residual = nullptr;  // like y
  const float* slope = nullptr;    // [channels], PReLU's
  Activation activation = Activation::None;
  bool empty() const { return !bias && !residual && activation == Activation::None; }
};
// y = act(y + bias + residual), in place.
void channel_epilogue(Device device, DType dtype, int64_t rows, int64_t channels, const ChannelEpilogue& e,
                      void* y);

// sum[c] = x[0,c] + x[1,c] + ... in two stages: f32 within tiles of rows that depend on sizes only, f64 over
// the tiles.
void sum_rows(Device device, DType dtype, int64_t rows, int64_t channels, const void* x, float* sum);

}  // namespace tern::cu
