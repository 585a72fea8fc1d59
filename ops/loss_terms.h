#pragma once
// From a vector of term losses to the loss of a reduction and back, shared by the losses on explicit pairs
// and triplets.

#include "tern/core/tensor.h"
#include "tern/ops/reduction.h"

namespace tern {

// What backward needs: loss = factor * sum, or the terms themselves.
struct TermReduction {
  Reduction reduction = Reduction::Mean;
  Tensor factor{};  // f64 [] on the device of the loss; undefined for None
};

// losses: f64 [N]. count: f64 [], what Mean and MeanNonZero divide by; undefined: the number of losses, or of
// those above 0. Sets the factor; returns the loss in dtype. Nothing is read back from a device.
Tensor reduce_losses(const Tensor& losses, DType dtype, TermReduction& reduction, const Tensor& count = {});
// dL/d(losses), f64 [n], from the gradient of the loss.
Tensor spread_gradient(const Tensor& dy, int64_t n, const TermReduction& reduction);

namespace cpu {
// loss = factor * sum of losses in ascending order; factor: 1 / count, 0 where count is 0, 1 for Sum.
void reduce_terms(const Tensor& losses, Reduction reduction, const Tensor& count, const Tensor& loss,
                  const Tensor& factor);
// scale_i = factor * dy.
void spread_terms(const Tensor& dy, const Tensor& factor, const Tensor& scale);
}  // namespace cpu
namespace cu {
void reduce_terms(const Tensor& losses, Reduction reduction, const Tensor& count, const Tensor& loss,
                  const Tensor& factor);
void spread_terms(const Tensor& dy, const Tensor& factor, const Tensor& scale);
}  // namespace cu

}  // namespace tern
