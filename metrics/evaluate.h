#pragma once
// All metrics of a set of photos in one call: what `tern evaluate` prints and the trainer watches.

#include <cstdint>
#include <span>
#include <vector>

#include "tern/metrics/all_pairs.h"
#include "tern/metrics/logistic.h"
#include "tern/metrics/retrieval.h"
#include "tern/metrics/verification.h"

namespace tern::metrics {

// A distance threshold for use, with what it was measured on.
struct Calibration {
  double threshold = 0;
  double far = 0, tar = 0, balanced_accuracy = 0;
  int64_t same = 0, different = 0;
  LogisticFit logistic;
};

// The threshold of best balanced accuracy over all pairs, and the logistic fit beside it.
Calibration calibrate(const SortedScores<float>& scores);

struct EvaluateOptions {
  std::vector<double> fars = {1e-1, 1e-2, 1e-3};
  int bootstrap_rounds = 0;  // 0: no intervals
  PairSampling sampling;
  std::vector<int> ks = {1, 5};
  bool complete = true;  // false: without calibration and retrieval
};

struct Evaluation {
  double auc = 0, eer = 0;
  std::vector<TarAtFar> tar_at_far;
  Verification verification;  // over sampled folds; no folds where there are too few people
  int64_t fold_pairs = 0;
  Rank1 rank1;
  Retrieval retrieval;
  Calibration calibration;
  int64_t photos = 0, people = 0, same = 0, different = 0;
};

// Throws DataError if there are no same or no different pairs.
Evaluation evaluate(std::span<const int64_t> identity, const DistanceRow& distance,
                    const EvaluateOptions& options = {});
Evaluation evaluate(const Tensor& embeddings, std::span<const int64_t> identity,
                    const EvaluateOptions& options = {});

}  // namespace tern::metrics
