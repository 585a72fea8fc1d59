#pragma once
// Every graph that tern has cuDNN plan, in one place.
//
//   form                       tensors (Uid)                                   what it computes
//   conv_forward               x w -> y                                        y = conv(x, w)
//   conv_bias                  x w bias -> y                                   y = conv(x, w) + b
//   conv_bias_relu             x w bias -> y                                   y = max(conv(x, w) + b, 0)
//   conv_backward_data         dy w -> dx
//   conv_backward_weight       dy x -> dw                                      f32 dw where
//   weight_gradient_type says so batch_norm                 x scale bias .. -> y mean inverse_std ..
//   training; see ops/batch_norm.h batch_norm_add_relu_mask   the same, residual -> y mask y = max(bn(x) + r,
//   0), mask = y > 0 batch_norm_backward        x dy scale mean inverse_std -> dx dscale dbias
//   batch_norm_mask_backward   the same, mask                                  of dy * mask
//   max_pool                   x -> y index                                    index: position in the window
//   max_pool_backward          dy index -> dx
//   avg_pool                   x -> y
//   avg_pool_backward          dy -> dx
//
// The convolutions are what tern runs. Batch norm and pools run on kernels of tern's own until a measurement
// on a GPU says otherwise; their graphs are planned by the tests, so that the choice stays open
// (docs/cuda.md). Activations are f32 or bf16; in bf16 the filters are bf16, too, sums are f32.

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "tern/cuda/dnn_graph.h"

namespace tern::cu::dnn {

enum class Form : uint8_t {
  ConvForward,
  ConvBias,
  ConvBiasRelu,
  ConvBackwardData,
  ConvBackwardWeight,
  BatchNorm,
  BatchNormAddReluMask,
  BatchNormBackward,
  BatchNormMaskBackward,
  MaxPool,
  MaxPoolBackward,
  AvgPool,
  AvgPoolBackward
};
inline constexpr int kForms = 13;
std::string_view to_string(Form form);

// One graph to plan. sizes: of the convolution; of a pool its window, with o = c; of a batch norm y's.
struct Problem {
  Form form = Form::ConvForward;
  DType dtype = DType::F32;
  Conv2dGeometry sizes;
  int64_t alignment = 16;  // of every pointer, bytes
};

// "conv_forward bf16 64x56x56x64 w64x3x3x64 s1 p1 d1 g1 a16": plans are kept under this name.
std::string to_string(const Problem& problem);
using ProblemKey = std::array<int64_t, 20>;
ProblemKey key_of(const Problem& problem);

// Of dw. cuDNN writes f32 dw from bf16 inputs only for dense filters whose channels come in eights; the
// others are rounded to bf16 once, after an f32 sum.
DType weight_gradient_type(const Problem& problem);

bool is_convolution(Form form);

// Whether the arithmetic is a matrix product that belongs on tensor cores: dense convolutions. Grouped ones
// are bound by memory.
bool wants_tensor_cores(const Problem& problem);

// Whether conv_bias and conv_bias_relu exist for it: cuDNN has no engine for grouped bf16 ones, and the bias
// is then added by a kernel.
bool can_fuse_bias(DType dtype, const Conv2dGeometry& sizes);

std::unique_ptr<Graph> build(const Problem& problem);

}  // namespace tern::cu::dnn
