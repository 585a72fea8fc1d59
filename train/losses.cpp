// The losses that options name.

#include "tern/ops/batch_triplet_loss.h"
#include "tern/ops/contrastive_loss.h"
#include "tern/ops/l2_normalize.h"
#include "tern/train/options.h"

namespace tern {

namespace {

// As the console, the metrics and the collapse alarm read them: pairs in the place of triplets.
StatsReport pair_report(const BatchMeasures& measures) {
  return {measures.device(), [measures] {
            TripletStats stats = measures.stats();
            stats.semi_hard = 0;
            return stats;
          }};
}

LossFunction contrastive(const TrainOptions& options) {
  const bool normalize = options.triplet.normalize;
  const ContrastiveOptions contrastive{.margin = options.contrastive_margin};
  return [normalize, contrastive](const Tensor& embeddings, const Tensor& labels, int64_t) {
    const Tensor u = normalize ? l2_normalize(embeddings) : embeddings;
    const BatchContrastiveResult result = batch_contrastive_loss(u, labels, contrastive);
    return LossResult{result.loss, pair_report(result.measures)};
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
    const BatchTripletResult result = batch_triplet_loss(embeddings, labels, now);
    const BatchMeasures& measures = result.measures;
    return LossResult{result.loss, {measures.device(), [measures] { return measures.stats(); }}};
  };
}

}  // namespace tern
