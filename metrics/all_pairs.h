#pragma once
// Every pair of a set of photos, scored without keeping more than one float a pair.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "tern/core/tensor.h"
#include "tern/metrics/roc.h"
#include "tern/metrics/scores.h"

namespace tern::metrics {

// Writes the distances from photo `row` to photos [begin, end) into out[0 .. end - begin). Called from many
// threads.
using DistanceRow = std::function<void(int64_t row, int64_t begin, int64_t end, float* out)>;

// Euclidean distances between the rows of embeddings [N,D] f32, by direct differences: coincident rows are at
// exactly 0. Keeps the tensor. Throws ShapeError, DTypeError; NumericError if an element is not finite.
DistanceRow euclidean_distances(const Tensor& embeddings);

// The same distances computed once and kept, 4 bytes for each of the n^2; for distances that cost more than a
// look-up and are asked for several times. Above 8192 photos nothing is kept. distance must be symmetric.
DistanceRow kept_distances(int64_t photos, const DistanceRow& distance);

// The n (n - 1) / 2 pairs of photos 0 .. n-1, identity[i] being the person of photo i. O(n^2) time, 4 bytes a
// pair.
SortedScores<float> all_pair_scores(std::span<const int64_t> identity, const DistanceRow& distance);
SortedScores<float> all_pair_scores(const Tensor& embeddings, std::span<const int64_t> identity);

// TAR at each FAR over all pairs, with 95% intervals: people (not pairs, which share people) are drawn anew
// with replacement `rounds` times (Philox stream Bootstrap), a pair counting as often as its people were
// drawn; the threshold is found anew each time. `scores` are those of all_pair_scores. FARs up to 0.2.
struct Bootstrap {
  int rounds = 200;
  uint64_t seed = 1;
};
std::vector<TarAtFar> people_intervals(std::span<const int64_t> identity, const DistanceRow& distance,
                                       const SortedScores<float>& scores, std::span<const double> wanted_fars,
                                       const Bootstrap& bootstrap = {});

}  // namespace tern::metrics
