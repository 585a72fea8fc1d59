// The losses that options name.

#include "tern/ops/batch_triplet_loss.h"
#include "tern/ops/contrastive_loss.h"
#include "tern/ops/l2_normalize.h"
#include "tern/train/options.h"

namespace tern {

namespace {

LossFunction contrastive(const TrainOptions& options) {
  const bool normalize = options.triplet.normalize;
  const ContrastiveOptions contrastive{.margin = options.contrastive_margin};
  return [normalize, contrastive](const Tensor& embeddings, const Tensor& labels, int64_t) {
    const Tensor u = normalize ? l2_normalize(embeddings) : embeddings;
    const BatchContrastiveResult result = batch_contrastive_loss(u, labels, contrastive);
    // Pairs, as the console, the metrics and the collapse alarm read them.
    return LossResult{result.loss, StatsReport(result.measures, true)};
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
    return LossResult{result.loss, StatsReport(result.measures)};
  };
}

}  // namespace tern
