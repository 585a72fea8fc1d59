#pragma once
// Quality over all thresholds at once.
//
//     ROC: the points (FAR(t), TAR(t)) as t grows from below the smallest to the largest distance.
//     AUC: the area under it = P(d_same < d_different) + P(d_same = d_different) / 2 (Mann-Whitney).
//     EER: the error where FAR = 1 - TAR, on the straight line between the two neighbouring points.
//     TAR@FAR: TAR at the largest threshold whose FAR does not exceed the given one.
// Source: Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27 (2006).

#include <cstdint>
#include <vector>

#include "tern/metrics/scores.h"

namespace tern::metrics {

struct RocPoint {
  double threshold, far, tar;
};

// From (0, 0) to (1, 1). Points inside a straight horizontal or vertical run are left out: the curve is the
// same, and never longer than twice the rarer kind of pairs. Throws DataError if there are no pairs of one
// kind.
template <class T>
std::vector<RocPoint> roc_curve(const SortedScores<T>& scores);

template <class T>
double area_under_roc(const SortedScores<T>& scores);

struct EqualErrorRate {
  double rate = 0, threshold = 0;
};
template <class T>
EqualErrorRate equal_error_rate(const SortedScores<T>& scores);

struct TarAtFar {
  double wanted_far = 0;
  double tar = 0, far = 0;  // measured; far <= wanted_far
  double threshold = 0;
  double tar_low = 0, tar_high = 1;  // 95% bootstrap interval, where one was asked for
  int64_t same = 0, different = 0;   // pairs behind the numbers
};
template <class T>
TarAtFar tar_at_far(const SortedScores<T>& scores, double wanted_far);

// With the interval: pairs of each kind are drawn anew, with replacement, `rounds` times (Philox stream
// Bootstrap), the threshold found anew each time; the interval spans the 2.5th to 97.5th percentile. For
// pairs that do not share people; see people_intervals() for all pairs of a set.
TarAtFar tar_at_far(const SortedScores<double>& scores, double wanted_far, int rounds, uint64_t seed);

// The value at rank q (0..1) of unsorted values, with linear interpolation between neighbours.
double quantile(std::vector<double> values, double q);

}  // namespace tern::metrics
