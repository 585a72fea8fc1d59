#include "tern/ops/loss_terms.h"

namespace tern {

Tensor reduce_losses(const Tensor& losses, DType dtype, TermReduction& reduction) {
  if (reduction.reduction == Reduction::None) return losses.to(dtype);
  const Tensor on_host = losses.to(kCpu);
  const double* l = on_host.data<double>();
  double sum = 0;
  int64_t above = 0;
  for (int64_t i = 0; i < losses.numel(); ++i) {
    sum += l[i];
    above += l[i] > 0;
  }
  if (reduction.reduction != Reduction::Sum) {
    const int64_t count = reduction.reduction == Reduction::Mean ? losses.numel() : above;
    reduction.factor = count > 0 ? 1 / static_cast<double>(count) : 0;
  }
  Tensor loss = Tensor::empty({}, {dtype, losses.device()});
  loss.fill(sum * reduction.factor);
  return loss;
}

Tensor spread_gradient(const Tensor& dy, int64_t n, const TermReduction& reduction) {
  if (reduction.reduction == Reduction::None) return dy.to(DType::F64);
  Tensor scale = Tensor::empty({n}, {DType::F64, dy.device()});
  scale.fill(dy.item() * reduction.factor);
  return scale;
}

}  // namespace tern
