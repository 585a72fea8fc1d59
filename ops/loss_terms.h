#pragma once
// From a vector of term losses to the loss of a reduction and back, shared by the losses on explicit pairs
// and triplets.

#include "tern/core/tensor.h"
#include "tern/ops/reduction.h"

namespace tern {

// What backward needs: loss = factor * sum, or the terms themselves.
struct TermReduction {
  Reduction reduction = Reduction::Mean;
  double factor = 1;
};

// losses: f64 [N]. Sets the factor; returns the loss in dtype.
Tensor reduce_losses(const Tensor& losses, DType dtype, TermReduction& reduction);
// dL/d(losses), f64 [n], from the gradient of the loss.
Tensor spread_gradient(const Tensor& dy, int64_t n, const TermReduction& reduction);

}  // namespace tern
