#pragma once
// The photos a run is judged on, prepared once and kept as 8-bit pixels.

#include <cstdint>
#include <optional>
#include <vector>

#include "tern/data/augmentation.h"
#include "tern/data/dataset.h"
#include "tern/data/preprocess.h"
#include "tern/nn/module.h"

namespace tern {

// How the photos are seen: as they are, or changed (drawn once, from the seed). People that a network was
// trained on are recognised too well on the very photos it has learnt: a threshold found on them would refuse
// everybody else.
struct EvaluationView {
  uint64_t seed = 1;
  std::optional<AugmentOptions> augment{};
};

class EvaluationSet {
 public:
  // Everybody, or, in a data set of more than max_photos photos, people drawn by the seed until there are so
  // many. Throws the first error of reading a photo.
  EvaluationSet(const Dataset& dataset, const Preprocess& preprocess, int64_t max_photos,
                const EvaluationView& view);

  // Embeddings [N,D] f32 in evaluation mode, without gradients, scaled to length 1 if asked for. The module's
  // mode is what it was afterwards. The batch size does not show in the result's order, only in the memory.
  Tensor embed(nn::Module& model, bool normalize, int64_t batch = 64) const;

  const std::vector<int64_t>& identity() const { return identity_; }
  int64_t photos() const { return static_cast<int64_t>(identity_.size()); }
  int64_t people() const { return people_; }

 private:
  Tensor input(int64_t begin, int64_t count) const;

  Preprocess preprocess_;
  EvaluationView view_;
  int margin_ = 0;  // of context around each prepared photo, for the changes
  std::vector<Image> images_;
  std::vector<int64_t> identity_;
  int64_t people_ = 0;
};

}  // namespace tern
