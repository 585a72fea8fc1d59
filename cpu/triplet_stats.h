#pragma once
// Gathering TripletStats: counts are sums over anchors in order, quantiles come from evenly spaced pairs, and
// how far the embeddings lie apart from closed forms in O(N D).

#include <cstdint>
#include <vector>

#include "tern/ops/batch_triplet_loss.h"

namespace tern::cpu {

// What one anchor contributes. pairs: of distances summed.
struct AnchorStats {
  int64_t terms = 0, active = 0, hard = 0, semi_hard = 0;
  int64_t positive_pairs = 0, negative_pairs = 0;
  double sum_ap = 0, sum_an = 0;
};

// Keeps every stride-th of the pairs that the anchors number consecutively; safe for concurrent anchors.
class PairSample {
 public:
  explicit PairSample(const std::vector<int64_t>& pairs_per_anchor);
  // Calls value(k) for the anchor's sampled pairs k and stores what it returns.
  template <class Value>
  void take(int64_t anchor, Value&& value) {
    const int64_t begin = first_[static_cast<size_t>(anchor)], end = first_[static_cast<size_t>(anchor) + 1];
    for (int64_t t = (begin + stride_ - 1) / stride_ * stride_; t < end; t += stride_)
      values_[static_cast<size_t>(t / stride_)] = value(t - begin);
  }
  std::vector<double>& values() { return values_; }

 private:
  std::vector<int64_t> first_;
  int64_t stride_;
  std::vector<double> values_;
};

// p10, median, p90 (nearest rank) of values, which it reorders, and the mean.
DistanceSummary summarize(std::vector<double>& values, double sum, int64_t count);

// Number of triplets (a,p,n) in labels.
int64_t count_triplets(const int64_t* labels, int64_t n);

// Fills pairwise_rms and spread from u[n,d].
template <class T>
void measure_spread(const T* u, int64_t n, int64_t d, TripletStats& stats);

// Adds the anchors' counts and means.
void add_anchor_stats(const std::vector<AnchorStats>& anchors, PairSample& ap, PairSample& an,
                      TripletStats& stats);

}  // namespace tern::cpu
