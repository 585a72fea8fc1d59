#include "tern/cpu/triplet_stats.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include "tern/core/parallel.h"

namespace tern::cpu {

PairSample::PairSample(const std::vector<int64_t>& pairs_per_anchor) : first_{0} {
  for (const int64_t pairs : pairs_per_anchor) first_.push_back(first_.back() + pairs);
  const int64_t total = first_.back(), limit = TripletStats::kQuantileSamples;
  stride_ = std::max<int64_t>(1, (total + limit - 1) / limit);
  values_ = Tensor::empty({(total + stride_ - 1) / stride_}, {DType::F64, kCpu});
  to_ = values_.mutable_data<double>();
}

BatchMeasures zero_measures(int64_t n) {
  BatchMeasures measures;
  measures.n = n;
  measures.values = Tensor::empty({kMeasures}, {DType::F64, kCpu});
  std::fill_n(measures.values.mutable_data<double>(), kMeasures, 0.0);
  return measures;
}

std::vector<int64_t> class_sizes(const int64_t* labels, int64_t n) {
  std::unordered_map<int64_t, int64_t> members;
  std::vector<const int64_t*> count_of;  // of each sample's class; entries of the map stay where they are
  count_of.reserve(static_cast<size_t>(n));
  int64_t* count = nullptr;
  for (int64_t i = 0; i < n; ++i) {
    if (i == 0 || labels[i] != labels[i - 1]) count = &members[labels[i]];  // photos of a person often follow
    ++*count;                                                               // one another
    count_of.push_back(count);
  }
  std::vector<int64_t> sizes;
  sizes.reserve(static_cast<size_t>(n));
  for (const int64_t* members_of : count_of) sizes.push_back(*members_of);
  return sizes;
}

template <class T>
double squares_to_mean(const T* u, int64_t n, int64_t d) {
  constexpr int64_t kBlocks = 16;  // of rows, summed at the same time and then added in order
  const auto over_blocks = [&](auto&& body) {
    parallel_for(kBlocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b)
        for (int64_t i = b * n / kBlocks; i < (b + 1) * n / kBlocks; ++i) body(b, u + i * d);
    });
  };
  std::vector<double> sums(static_cast<size_t>(kBlocks * d), 0.0), squares(kBlocks, 0.0);
  over_blocks([&](int64_t b, const T* row) {
    double* sum = sums.data() + b * d;
    for (int64_t k = 0; k < d; ++k) sum[k] += static_cast<double>(row[k]);
  });
  double* mean = sums.data();
  for (int64_t k = 0; k < d; ++k) {
    for (int64_t b = 1; b < kBlocks; ++b) mean[k] += sums[static_cast<size_t>(b * d + k)];
    mean[k] /= static_cast<double>(n);
  }
  over_blocks([&](int64_t b, const T* row) {
    constexpr int64_t kSums = 8;  // enough to hide the latency of additions
    double sum[kSums] = {};
    int64_t k = 0;
    for (; k + kSums <= d; k += kSums)
      for (int64_t i = 0; i < kSums; ++i) {
        const double z = static_cast<double>(row[k + i]) - mean[k + i];
        sum[i] += z * z;
      }
    for (; k < d; ++k) {
      const double z = static_cast<double>(row[k]) - mean[k];
      sum[0] += z * z;
    }
    squares[static_cast<size_t>(b)] += std::accumulate(sum, sum + kSums, 0.0);
  });
  return std::accumulate(squares.begin(), squares.end(), 0.0);
}
template double squares_to_mean(const float* u, int64_t n, int64_t d);
template double squares_to_mean(const double* u, int64_t n, int64_t d);

BatchMeasures anchor_measures(const std::vector<AnchorStats>& anchors, const PairSample& ap,
                              const PairSample& an) {
  int64_t counts[kMeasures] = {};
  double sum_ap = 0, sum_an = 0;
  for (const AnchorStats& a : anchors) {
    counts[kTerms] += a.terms;
    counts[kActive] += a.active;
    counts[kHard] += a.hard;
    counts[kSemiHard] += a.semi_hard;
    counts[kPositivePairs] += a.positive_pairs;
    counts[kNegativePairs] += a.negative_pairs;
    sum_ap += a.sum_ap;
    sum_an += a.sum_an;
  }
  BatchMeasures measures = zero_measures(static_cast<int64_t>(anchors.size()));
  double* values = measures.values.mutable_data<double>();
  for (int i = 0; i < kMeasures; ++i) values[i] = static_cast<double>(counts[i]);
  values[kPositiveSum] = sum_ap;
  values[kNegativeSum] = sum_an;
  measures.d_ap = ap.values();
  measures.d_an = an.values();
  return measures;
}

}  // namespace tern::cpu
