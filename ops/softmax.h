#pragma once
// Softmax and its logarithm along the last axis.
//
//   softmax       y_c = e^(x_c - m) / s                 dx_c = y_c (dy_c - sum_k dy_k y_k)
//   log_softmax   y_c = x_c - m - log s                 dx_c = dy_c - e^(y_c) sum_k dy_k
//   with m = max_k x_k, s = sum_k e^(x_k - m): no overflow, and s >= 1.
//
// x[..,C] -> y[..,C]; f32, f64; C >= 1, rank >= 1 (ShapeError). A row with NaN, +inf or only -inf is all NaN.
// Cost: three passes over a row that stays in the cache, one exp per element.
// Source: Blanchard, Higham, Higham, "Accurately computing the log-sum-exp and softmax functions", 2021.

#include "tern/core/tensor.h"

namespace tern {

Tensor softmax(const Tensor& x);
Tensor softmax_backward(const Tensor& y, const Tensor& dy);
Tensor log_softmax(const Tensor& x);
Tensor log_softmax_backward(const Tensor& y, const Tensor& dy);

namespace cpu {
void softmax(const Tensor& x, const Tensor& y);
void softmax_backward(const Tensor& y, const Tensor& dy, const Tensor& dx);
void log_softmax(const Tensor& x, const Tensor& y);
void log_softmax_backward(const Tensor& y, const Tensor& dy, const Tensor& dx);
}  // namespace cpu
namespace cu {
void softmax(const Tensor& x, const Tensor& y);
void softmax_backward(const Tensor& y, const Tensor& dy, const Tensor& dx);
void log_softmax(const Tensor& x, const Tensor& y);
void log_softmax_backward(const Tensor& y, const Tensor& dy, const Tensor& dx);
}  // namespace cu

}  // namespace tern
