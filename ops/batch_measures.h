#pragma once
// What a loss on a batch saw: counts, distances, and how far the embeddings lie apart. A backend leaves the
// numbers where it computed them; nothing is read back until somebody asks for stats().
//
//   spread         s = sqrt(1/N sum_i |u_i - mean|^2)
//   pairwise_rms   sqrt(2 N / (N - 1)) s, the root mean square of |u_i - u_j| over i != j
//   quantiles      nearest rank, of at most kQuantileSamples evenly spaced pairs

#include <cstdint>

#include "tern/core/tensor.h"

namespace tern {

struct DistanceSummary {
  double mean = 0, p10 = 0, median = 0, p90 = 0;  // 0 without pairs
};

// hard, semi_hard and the distances are about the terms; for BatchAll the distances are about all positive
// and all negative pairs of anchors that have terms.
struct TripletStats {
  static constexpr int64_t kQuantileSamples = 4096;
  int64_t valid = 0;           // triplets (a,p,n) that exist in the batch
  int64_t terms = 0;           // terms the rule gave
  int64_t active = 0;          // terms with a loss above 0
  int64_t hard = 0;            // terms with d_an <= d_ap
  int64_t semi_hard = 0;       // terms with d_ap < d_an < d_ap + margin
  DistanceSummary d_ap, d_an;  // in the units of .distance
  double pairwise_rms = 0;     // 0 when the embedding has collapsed
  double spread = 0;
  double active_fraction() const {
    return terms > 0 ? static_cast<double>(active) / static_cast<double>(terms) : 0;
  }
};

// Columns of BatchMeasures::values. kSquares: sum of |u_i - mean|^2.
enum Measure : int {
  kValid,
  kTerms,
  kActive,
  kHard,
  kSemiHard,
  kPositivePairs,
  kNegativePairs,
  kPositiveSum,
  kNegativeSum,
  kSquares,
  kMeasures
};

struct BatchMeasures {
  int64_t n = 0;          // embeddings
  Tensor values;          // f64 [kMeasures]; undefined: nothing was measured
  Tensor d_ap, d_an;      // f64: sampled distances of positive and negative pairs, NaN in unused places
  Device device() const;  // where they lie
  Tensor value(Measure measure) const;  // f64 [], sharing the memory of values
  TripletStats stats() const;           // reads them; zeros if nothing was measured
};

}  // namespace tern
