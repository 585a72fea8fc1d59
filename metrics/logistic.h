#pragma once
// How sure is a verdict: P(same | d) = 1 / (1 + exp(-(intercept + slope d))), fitted to the distances of
// known pairs.
//
// Both kinds of pairs weigh the same in total, whatever their numbers: the answer is for a pair that is as
// likely of one person as of two. Maximises sum_i w_i (t_i log p_i + (1 - t_i) log(1 - p_i)) with Platt's
// targets t = (n + 1) / (n + 2) for same and 1 / (n + 2) for different pairs, so that separable data has a
// finite optimum, by Newton's method with step halving. Source: Lin, Lin, Weng, "A note on Platt's
// probabilistic outputs for support vector machines", 2007.

#include <cstdint>

#include "tern/metrics/scores.h"

namespace tern::metrics {

struct LogisticFit {
  double intercept = 0, slope = 0;

  double probability_same(double distance) const;
};

// The slope is never positive: data in which a larger distance speaks for the same person gives slope 0.
// Throws DataError if there are no pairs of one kind.
template <class T>
LogisticFit fit_logistic(const SortedScores<T>& scores);

}  // namespace tern::metrics
