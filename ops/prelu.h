#pragma once
// Parametric ReLU: a learned slope below zero, one for all elements or one per channel (the last dimension).
//
//   y = x where x > 0, else w x
//   dx = dy where x > 0, else w dy        dw_c = sum over the positions of channel c of dy x where x <= 0
//
// x[..,C] w[C] or w[1] -> y[..,C]. f32, f64. Throws ShapeError if w has another shape.
// Source: He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015.

#include "tern/core/tensor.h"

namespace tern {

Tensor prelu(const Tensor& x, const Tensor& w);

}  // namespace tern
