#pragma once
// The collapse alarm. Metric learning fails in its own way: the network maps every photo to one point. All
// distances are then 0, the triplet loss stays at exactly the margin (ln 2 with the soft margin), its
// gradient vanishes, and no loss curve says so. Hardest negatives and a high learning rate lead there.
// Sources: Schroff 2015 section 3.2; the reports at
// github.com/VisualComputingInstitute/triplet-reid/issues/30.

#include <cstdint>
#include <optional>
#include <string>

#include "tern/ops/batch_triplet_loss.h"

namespace tern {

struct CollapseOptions {
  double min_distance =
      0.02;           // root mean square distance of a batch's embeddings below which they are one point
  int patience = 20;  // for so many steps in a row
};

class CollapseAlarm {
 public:
  CollapseAlarm(const BatchTripletOptions& loss, CollapseOptions options) : loss_(loss), options_(options) {}

  // The text of the alarm at the step that completes the row, once per collapse; nothing otherwise.
  std::optional<std::string> watch(int64_t step, double loss, const TripletStats& stats);

 private:
  BatchTripletOptions loss_;
  CollapseOptions options_;
  int row_ = 0;
};

}  // namespace tern
