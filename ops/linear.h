#pragma once
// The fully connected layer, weights as PyTorch stores them:
//
//   y = x w^T + b        x[..,I] w[O,I] b[O] -> y[..,O]
//
//   dx = dy w            dw = dy^T x            db = sum of dy over the leading axes
//
// Cost: 2 R I O operations for each of y, dx, dw, R = the product of the leading axes. f32, f64, and bf16
// activations with f32 parameters (as a 1x1 convolution, ops/conv2d.h); an empty
// batch gives zero dw and db. Errors: ShapeError for sizes that do not fit, DTypeError for mixed or
// unsupported types. Source: Rumelhart, Hinton, Williams, Learning representations by back-propagating
// errors, 1986.

#include "tern/core/tensor.h"

namespace tern {

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias = {});
Tensor linear_backward_data(const Tensor& dy, const Tensor& w);
Tensor linear_backward_weight(const Tensor& dy, const Tensor& x);
Tensor linear_backward_bias(const Tensor& dy);

}  // namespace tern
