#pragma once
// Gathering BatchMeasures: counts are sums over anchors in order, quantiles come from evenly spaced pairs,
// and how far the embeddings lie apart from a closed form in O(N D).

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
      to_[t / stride_] = value(t - begin);
  }
  const Tensor& values() const { return values_; }

 private:
  std::vector<int64_t> first_;
  int64_t stride_;
  Tensor values_;  // f64
  double* to_;
};

// Values on the CPU, zeros.
BatchMeasures zero_measures(int64_t n);

// Of each sample: how many have its label, itself among them.
std::vector<int64_t> class_sizes(const int64_t* labels, int64_t n);

// The sum of |u_i - mean|^2 over u[n,d].
template <class T>
double squares_to_mean(const T* u, int64_t n, int64_t d);

// Sums over the anchors.
BatchMeasures anchor_measures(const std::vector<AnchorStats>& anchors, const PairSample& ap,
                              const PairSample& an);

}  // namespace tern::cpu
