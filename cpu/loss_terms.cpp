#include "tern/ops/loss_terms.h"

#include <algorithm>

namespace tern::cpu {

void reduce_terms(const Tensor& losses, Reduction reduction, const Tensor& count, const Tensor& loss,
                  const Tensor& factor) {
  const double* l = losses.data<double>();
  double sum = 0;
  int64_t above = 0;
  for (int64_t i = 0; i < losses.numel(); ++i) {
    sum += l[i];
    above += l[i] > 0;
  }
  double scale = 1;
  if (reduction != Reduction::Sum) {
    const double terms = count.defined()
                             ? *count.data<double>()
                             : static_cast<double>(reduction == Reduction::Mean ? losses.numel() : above);
    scale = terms > 0 ? 1 / terms : 0;
  }
  *factor.mutable_data<double>() = scale;
  if (loss.dtype() == DType::F64) *loss.mutable_data<double>() = sum * scale;
  else *loss.mutable_data<float>() = static_cast<float>(sum * scale);
}

void spread_terms(const Tensor& dy, const Tensor& factor, const Tensor& scale) {
  const double gradient =
      dy.dtype() == DType::F64 ? *dy.data<double>() : static_cast<double>(*dy.data<float>());
  std::fill_n(scale.mutable_data<double>(), scale.numel(), gradient * *factor.data<double>());
}

}  // namespace tern::cpu
