#include "tern/metrics/evaluate.h"

#include <set>

#include "tern/core/error.h"

namespace tern::metrics {
namespace {

// Sampled pairs need four people; a smaller set has no folds and the rest of the numbers.
void verify_sampled(std::span<const int64_t> identity, const DistanceRow& distance,
                    const PairSampling& sampling, Evaluation& result) {
  if (!can_sample_pairs(identity)) return;
  const SampledPairs sampled = sample_pairs(identity, sampling);
  PairScores scores;
  std::vector<int> folds;
  for (const SampledPair& pair : sampled.pairs) {
    float d;
    distance(pair.a, pair.b, pair.b + 1, &d);
    scores.add(d, pair.same);
    folds.push_back(pair.fold);
  }
  result.verification = verify_over_folds(scores, folds);
  result.fold_pairs = scores.size();
}

}  // namespace

Calibration calibrate(const SortedScores<float>& scores) {
  const BestThreshold best = best_threshold(scores, Criterion::BalancedAccuracy);
  const Decisions& d = best.decisions;
  return {best.threshold, d.far(), d.tar(), d.balanced_accuracy(), d.same, d.different, fit_logistic(scores)};
}

Evaluation evaluate(std::span<const int64_t> identity, const DistanceRow& distance,
                    const EvaluateOptions& options) {
  Evaluation result;
  result.photos = static_cast<int64_t>(identity.size());
  result.people = static_cast<int64_t>(std::set<int64_t>(identity.begin(), identity.end()).size());
  const SortedScores<float> scores = all_pair_scores(identity, distance);
  result.same = static_cast<int64_t>(scores.same.size());
  result.different = static_cast<int64_t>(scores.different.size());
  result.auc = area_under_roc(scores);
  result.eer = equal_error_rate(scores).rate;
  if (options.complete) result.calibration = calibrate(scores);
  if (options.bootstrap_rounds > 0) {
    result.tar_at_far = people_intervals(identity, distance, scores, options.fars,
                                         {options.bootstrap_rounds, options.sampling.seed});
  } else {
    for (const double far : options.fars) result.tar_at_far.push_back(tar_at_far(scores, far));
  }
  if (options.complete) result.retrieval = retrieval(identity, distance, options.ks);
  result.rank1 = rank1(identity, distance);
  verify_sampled(identity, distance, options.sampling, result);
  return result;
}

Evaluation evaluate(const Tensor& embeddings, std::span<const int64_t> identity,
                    const EvaluateOptions& options) {
  check<ShapeError>(embeddings.rank() == 2 && embeddings.size(0) == static_cast<int64_t>(identity.size()),
                    "evaluate: embeddings ", embeddings.shape(), " for ", identity.size(), " photos");
  const DistanceRow distance =
      kept_distances(static_cast<int64_t>(identity.size()), euclidean_distances(embeddings));
  return evaluate(identity, distance, options);
}

}  // namespace tern::metrics
