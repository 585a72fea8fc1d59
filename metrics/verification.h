#pragma once
// Verification over folds: is this pair the same person? For each fold the threshold is the one of best
// accuracy on all other folds, so that no pair is judged by a threshold it helped to choose.
//
//     mean = average of the folds' accuracies          std = their sample standard deviation (n - 1)
//     95% interval of the mean = mean +- t(0.975, n - 1) std / sqrt(n)
// Source: Huang, Ramesh, Berg, Learned-Miller, "Labeled Faces in the Wild", 2007 (the protocol of its pairs
// files).

#include <cstdint>
#include <span>
#include <vector>

#include "tern/metrics/scores.h"

namespace tern::metrics {

struct FoldAccuracy {
  int fold = 0;
  double threshold = 0;  // chosen on the other folds
  double accuracy = 0;
  int64_t same = 0, different = 0;
};

struct Verification {
  std::vector<FoldAccuracy> folds;
  double accuracy_mean = 0, accuracy_std = 0;
  double accuracy_low = 0, accuracy_high = 1;  // 95% interval of the mean
  double threshold = 0;                        // of best accuracy over all pairs: for use, not for scoring
};

// fold[i] is the fold of pair i, any numbers. Throws DataError if fewer than two folds have pairs.
Verification verify_over_folds(const PairScores& scores, std::span<const int> fold);

struct SampledPair {
  int64_t a = 0, b = 0;  // indices of two photos
  bool same = false;
  int fold = 0;
};

struct PairSampling {
  int folds = 10;
  int64_t pairs_per_kind = 300;  // of each fold
  uint64_t seed = 1;
};

struct SampledPairs {
  std::vector<SampledPair> pairs;   // sorted by fold, same pairs first
  int folds = 0;                    // with few people fewer than asked for
  int64_t same = 0, different = 0;  // in all folds together
};

// Pairs of photos drawn by seed, identity[i] being the person of photo i. No person is in two folds; within a
// fold no pair comes twice. People are drawn evenly, then their photos, so that much-photographed people do
// not dominate. A fold with too few photos gets as many pairs as there are, the same number of either kind.
// Throws DataError if there are not two folds of two people, one of whom has two photos.
bool can_sample_pairs(std::span<const int64_t> identity);
SampledPairs sample_pairs(std::span<const int64_t> identity, const PairSampling& options = {});

// The 97.5th percentile of Student's t with that many degrees of freedom.
double student_t_975(int degrees);

}  // namespace tern::metrics
