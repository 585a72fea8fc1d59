// The losses that options name.

#include "tern/ops/batch_triplet_loss.h"
#include "tern/ops/contrastive_loss.h"
#include "tern/ops/l2_normalize.h"
#include "tern/train/options.h"

namespace tern {

namespace {

// As the console, the metrics and the collapse alarm read them: pairs in the place of triplets.
TripletStats as_triplet_stats(const ContrastiveStats& pairs) {
  TripletStats stats;
  stats.valid = stats.terms = pairs.same + pairs.different;
  stats.active = pairs.active;
  stats.d_ap = pairs.d_same;
  stats.d_an = pairs.d_different;
  stats.pairwise_rms = pairs.pairwise_rms;
  stats.spread = pairs.spread;
  return stats;
}

LossFunction contrastive(const TrainOptions& options) {
  const bool normalize = options.triplet.normalize;
  const ContrastiveOptions contrastive{.margin = options.contrastive_margin};
  return [normalize, contrastive](const Tensor& embeddings, const Tensor& labels, int64_t) {
    const Tensor u = normalize ? l2_normalize(embeddings) : embeddings;
    const BatchContrastiveResult result = batch_contrastive_loss(u, labels, contrastive);
    return LossResult{result.loss, as_triplet_stats(result.stats)};
  };
}

}  // namespace

LossFunction make_loss(const TrainOptions& options) {
  if (options.custom_loss) return options.custom_loss;
  if (options.loss == "contrastive") return contrastive(options);
  BatchTripletOptions triplet = options.triplet;
  triplet.seed = options.seed;
  return [triplet](const Tensor& embeddings, const Tensor& labels, int64_t step) {
    BatchTripletOptions now = triplet;
    now.step = static_cast<uint64_t>(step);
    BatchTripletResult result = batch_triplet_loss(embeddings, labels, now);
    return LossResult{result.loss, std::move(result.stats)};
  };
}

}  // namespace tern
