#pragma once
// Convolution of bf16 activations with f32 weights: the passes on tiles (cpu/conv2d_tile.cpp). Weights are
// rounded to bf16, sums are f32, y and dx are rounded once; dw is f32.

#include "tern/core/tensor.h"
#include "tern/cpu/epilogue.h"
#include "tern/ops/conv2d.h"

namespace tern::cpu {

// On any instruction set: on tiles where there are some, else through f32 copies of the activations.
// epilogue: of moments, or empty; the f32 copies leave it alone.
void conv2d_forward_bf16(const Conv2dGeometry& g, const Tensor& x, const Tensor& w, const Tensor& bias,
                         const Tensor& y, const Epilogue<bfloat16>& epilogue = {});
void conv2d_backward_data_bf16(const Conv2dGeometry& g, const Tensor& dy, const Tensor& w, const Tensor& dx);
void conv2d_backward_weight_bf16(const Conv2dGeometry& g, const Tensor& dy, const Tensor& x,
                                 const Tensor& dw);

// Where there are tiles, twins included (cpu/conv2d_tile_weight.cpp).
void conv2d_backward_weight_tiles(const Conv2dGeometry& g, const bfloat16* dy, const bfloat16* x, float* dw);

}  // namespace tern::cpu
