#include "tern/cpu/triplet_stats.h"

#include <algorithm>
#include <cmath>

namespace tern::cpu {

PairSample::PairSample(const std::vector<int64_t>& pairs_per_anchor) : first_{0} {
  for (const int64_t pairs : pairs_per_anchor) first_.push_back(first_.back() + pairs);
  const int64_t total = first_.back(), limit = TripletStats::kQuantileSamples;
  stride_ = std::max<int64_t>(1, (total + limit - 1) / limit);
  values_.resize(static_cast<size_t>((total + stride_ - 1) / stride_));
}

DistanceSummary summarize(std::vector<double>& values, double sum, int64_t count) {
  if (values.empty() || count == 0) return {};
  const auto quantile = [&](double q) {
    const auto at = values.begin() + static_cast<int64_t>(q * static_cast<double>(values.size() - 1) + 0.5);
    std::nth_element(values.begin(), at, values.end());
    return *at;
  };
  DistanceSummary summary;
  summary.mean = sum / static_cast<double>(count);
  summary.p10 = quantile(0.1);
  summary.median = quantile(0.5);
  summary.p90 = quantile(0.9);
  return summary;
}

int64_t count_triplets(const int64_t* labels, int64_t n) {
  std::vector<int64_t> sorted(labels, labels + n);
  std::sort(sorted.begin(), sorted.end());
  int64_t triplets = 0;
  for (int64_t i = 0; i < n;) {
    const int64_t begin = i;
    while (i < n && sorted[static_cast<size_t>(i)] == sorted[static_cast<size_t>(begin)]) ++i;
    triplets += (i - begin) * (i - begin - 1) * (n - (i - begin));
  }
  return triplets;
}

template <class T>
void measure_spread(const T* u, int64_t n, int64_t d, TripletStats& stats) {
  if (n == 0 || d == 0) return;
  std::vector<double> mean(static_cast<size_t>(d), 0.0);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < d; ++k) mean[static_cast<size_t>(k)] += static_cast<double>(u[i * d + k]);
  for (double& m : mean) m /= static_cast<double>(n);
  double square = 0;
  for (int64_t i = 0; i < n; ++i) {
    double row[2] = {0, 0};
    for (int64_t k = 0; k < d; ++k) {
      const double z = static_cast<double>(u[i * d + k]) - mean[static_cast<size_t>(k)];
      row[k & 1] += z * z;
    }
    square += row[0] + row[1];
  }
  square /= static_cast<double>(n);
  stats.spread = std::sqrt(square);
  stats.pairwise_rms =
      n < 2 ? 0 : std::sqrt(2 * square * static_cast<double>(n) / static_cast<double>(n - 1));
}
template void measure_spread(const float* u, int64_t n, int64_t d, TripletStats& stats);
template void measure_spread(const double* u, int64_t n, int64_t d, TripletStats& stats);

void add_anchor_stats(const std::vector<AnchorStats>& anchors, PairSample& ap, PairSample& an,
                      TripletStats& stats) {
  int64_t positive_pairs = 0, negative_pairs = 0;
  double sum_ap = 0, sum_an = 0;
  for (const AnchorStats& a : anchors) {
    stats.terms += a.terms;
    stats.active += a.active;
    stats.hard += a.hard;
    stats.semi_hard += a.semi_hard;
    positive_pairs += a.positive_pairs;
    negative_pairs += a.negative_pairs;
    sum_ap += a.sum_ap;
    sum_an += a.sum_an;
  }
  stats.d_ap = summarize(ap.values(), sum_ap, positive_pairs);
  stats.d_an = summarize(an.values(), sum_an, negative_pairs);
}

}  // namespace tern::cpu
