#include "tern/ops/batch_measures.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace tern {
namespace {

DistanceSummary summarize(const Tensor& sampled, double sum, double count) {
  if (count == 0 || !sampled.defined()) return {};
  std::vector<double> values = sampled.to(kCpu).to_vector();
  std::erase_if(values, [](double d) { return std::isnan(d); });
  if (values.empty()) return {};
  const auto quantile = [&](double q) {
    const auto at = values.begin() + static_cast<int64_t>(q * static_cast<double>(values.size() - 1) + 0.5);
    std::nth_element(values.begin(), at, values.end());
    return *at;
  };
  DistanceSummary summary;
  summary.mean = sum / count;
  summary.p10 = quantile(0.1);
  summary.median = quantile(0.5);
  summary.p90 = quantile(0.9);
  return summary;
}

}  // namespace

Device BatchMeasures::device() const { return values.defined() ? values.device() : kCpu; }

Tensor BatchMeasures::value(Measure measure) const {
  return Tensor::view_of(Ref<Storage>(&values.storage()), values.element_offset() + measure, {}, DType::F64);
}

TripletStats BatchMeasures::stats() const {
  TripletStats stats;
  if (!values.defined()) return stats;
  const std::vector<double> v = values.to(kCpu).to_vector();
  stats.valid = static_cast<int64_t>(v[kValid]);
  stats.terms = static_cast<int64_t>(v[kTerms]);
  stats.active = static_cast<int64_t>(v[kActive]);
  stats.hard = static_cast<int64_t>(v[kHard]);
  stats.semi_hard = static_cast<int64_t>(v[kSemiHard]);
  stats.d_ap = summarize(d_ap, v[kPositiveSum], v[kPositivePairs]);
  stats.d_an = summarize(d_an, v[kNegativeSum], v[kNegativePairs]);
  const double count = static_cast<double>(n), square = n > 0 ? v[kSquares] / count : 0;
  stats.spread = std::sqrt(square);
  stats.pairwise_rms = n < 2 ? 0 : std::sqrt(2 * square * count / (count - 1));
  return stats;
}

}  // namespace tern
