#pragma once
// The collapse alarm. Metric learning fails in its own way: the network draws all photos together to one
// point. All distances go to 0, the triplet loss stays at the margin (ln 2 with the soft margin), and no loss
// curve says so. Hardest negatives and a high learning rate lead there. How near is too near is a matter of
// the margin m: distances of m / 4 cannot differ by m, so that no triplet can be satisfied. Sources: Schroff
// 2015 section 3.2; the reports at github.com/VisualComputingInstitute/triplet-reid/issues/30.

#include <cstdint>
#include <optional>
#include <string>

#include "tern/ops/batch_triplet_loss.h"

namespace tern {

struct CollapseOptions {
  double of_margin = 0.25;  // the alarm sounds when a batch's root mean square distance is below this part of
                            // the distance at which the triplet loss's margin is met,
  double min_distance = 0.05;  // or below this one where there is no such margin,
  int patience = 20;           // at every look from one step to the one that completes so many
};

class CollapseAlarm {
 public:
  // triplet: the loss, if it is the triplet loss.
  CollapseAlarm(const std::optional<BatchTripletOptions>& triplet, CollapseOptions options);

  // The text of the alarm at the step that completes the row, once per collapse; nothing otherwise. Not every
  // step has to be looked at.
  std::optional<std::string> watch(int64_t step, double loss, const TripletStats& stats);

 private:
  std::optional<BatchTripletOptions> triplet_;
  int patience_;
  double limit_;
  int64_t first_ = 0;     // step of the row's first look; 0: no row
  bool sounded_ = false;  // in this row
};

}  // namespace tern
