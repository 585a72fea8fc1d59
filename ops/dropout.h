#pragma once
// Dropout: zeroes each element with probability p and scales the others, so that the expectation stays.
//
//   y_i = x_i / (1 - p) if u_i >= p, else 0        dx_i = dy_i / (1 - p) if u_i >= p, else 0
//
// u_i in [0, 1) is word i of Philox(seed, Dropout, step): a pure function of (seed, step, i), whatever the
// number of threads, and drawn again on the way back, so that nothing is kept. Two dropout layers need two
// seeds. x[..] -> y[..]; f32, f64, bf16. Not training, or p = 0: y is x. p = 1: all zero. Throws UsageError
// unless 0 <= p <= 1. Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from
// overfitting", JMLR 2014.

#include "tern/core/tensor.h"

namespace tern {

struct DropoutOptions {
  double p = 0.5;
  bool training = true;
  uint64_t seed = 0;
  uint64_t step = 0;  // < 2^60
  // How many of these numbers a training step has: where one is recorded and replayed n steps later, this
  // dropout draws at step + n per_step (core/device_step.h).
  uint64_t per_step = 1;
};

Tensor dropout(const Tensor& x, DropoutOptions options);
// dx from dy: the same mask and scale.
Tensor dropout_backward(const Tensor& dy, const DropoutOptions& options);

namespace cpu {
void dropout(const DropoutOptions& options, const Tensor& x, const Tensor& y);
}  // namespace cpu
namespace cu {
void dropout(const DropoutOptions& options, const Tensor& x, const Tensor& y);
}  // namespace cu

}  // namespace tern
