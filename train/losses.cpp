// The losses that options name.

#include "tern/core/error.h"
#include "tern/ops/batch_triplet_loss.h"
#include "tern/train/options.h"

namespace tern {

LossFunction make_loss(const TrainOptions& options) {
  if (options.custom_loss) return options.custom_loss;
  check(options.loss == "triplet", "train: the loss '", options.loss, "' is not built yet; hint: triplet");
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
