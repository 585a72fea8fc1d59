#pragma once
// Parametric ReLU: a learned slope below zero, one for all elements or one per channel (the last dimension).
//
//   y = x where x > 0, else w x
//   dx = dy where x > 0, else w dy        dw_c = sum over the positions of channel c of dy x where x <= 0
//
// x[..,C] w[C] or w[1] -> y[..,C]. x f32 or bf16 with w f32, or both f64 or bf16. Forward and backward are
// one pass each: dx takes dy's place where nobody else holds dy, and the slopes' sums are taken on the way.
// Throws ShapeError if w has another shape. Source: He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV
// 2015.

#include "tern/core/tensor.h"

namespace tern {

Tensor prelu(const Tensor& x, const Tensor& w);

// CUDA takes PReLU's pointwise kernels (ops/pointwise_backend.h) and sums the slopes' gradient afterwards.
namespace cpu {
void prelu_forward(const Tensor& x, const Tensor& w, const Tensor& y);
void prelu_backward(const Tensor& x, const Tensor& w, const Tensor& dy, const Tensor& dx, const Tensor& dw);
}  // namespace cpu

}  // namespace tern
