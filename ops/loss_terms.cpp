#include "tern/ops/loss_terms.h"

namespace tern {

Tensor reduce_losses(const Tensor& losses, DType dtype, TermReduction& reduction, const Tensor& count) {
  if (reduction.reduction == Reduction::None) return losses.to(dtype);
  Tensor loss = Tensor::empty({}, {dtype, losses.device()});
  reduction.factor = Tensor::empty({}, {DType::F64, losses.device()});
  on_device(
      losses.device(), [&] { cpu::reduce_terms(losses, reduction.reduction, count, loss, reduction.factor); },
      [&] { cu::reduce_terms(losses, reduction.reduction, count, loss, reduction.factor); });
  return loss;
}

Tensor spread_gradient(const Tensor& dy, int64_t n, const TermReduction& reduction) {
  if (reduction.reduction == Reduction::None) return dy.to(DType::F64);
  Tensor scale = Tensor::empty({n}, {DType::F64, dy.device()});
  on_device(
      dy.device(), [&] { cpu::spread_terms(dy, reduction.factor, scale); },
      [&] { cu::spread_terms(dy, reduction.factor, scale); });
  return scale;
}

}  // namespace tern
