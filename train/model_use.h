#pragma once
// What a training run leaves behind for those who use its model: whom it is judged on, and what the model
// file says about verdicts.

#include <optional>

#include "tern/models/model_file.h"
#include "tern/train/evaluation_set.h"
#include "tern/train/observer.h"
#include "tern/train/options.h"

namespace tern {

// The triplet loss, where that is what is trained with.
std::optional<BatchTripletOptions> triplet_loss_of(const TrainOptions& options);

// Embeddings are compared at length 1, as the Embedder does, unless the loss leaves them as they are.
bool compares_at_unit_length(const TrainOptions& options);

// How the photos are seen that the model is judged on: held-out people as they are; people trained on, where
// nobody is held out, with changes 1.5 times as strong as in training. As training shows them their distances
// are smaller than unknown people's, and a threshold found on them refuses too many of those (measured in
// docs/measurements/orl.md).
EvaluationView judged_view(const TrainOptions& options, bool held_out);

// The card of the model file: preprocessing, threshold with what it was measured on, training margin.
ModelCard model_card(const TrainOptions& options, const EvaluationInfo& info);

}  // namespace tern
