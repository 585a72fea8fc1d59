#pragma once
// What happens to each photo of a training batch: the draws behind ops/augment's table. A row is a pure
// function of (seed, step, position in the batch), through the Augment stream of Philox: it does not depend
// on threads, loader workers or what was drawn before.

#include <cstdint>

#include "tern/core/tensor.h"
#include "tern/ops/augment.h"

namespace tern {

struct AugmentOptions {
  double flip = 0.5;         // probability of mirroring
  double shift = 0.05;       // largest move each way, as a fraction of the output's side; whole pixels
  double rotation = 8;       // largest turn, degrees
  double scale = 0.08;       // zoom within 1 / (1 + scale) .. 1 + scale
  double brightness = 0.2;   // gain within 1 - b .. 1 + b
  double contrast = 0.2;     // the same, around mid-grey
  double saturation = 0.2;   // the same, around the pixel's luma; RGB only
  double erase = 0.2;        // probability of erasing a rectangle
  double erase_side = 0.35;  // largest side of it, as a fraction of the output's; the smallest is a third

  static AugmentOptions none() { return {0, 0, 0, 0, 0, 0, 0, 0, 0}; }
  // Every effect but the mirror `factor` times as strong or as frequent, within what check_augment allows.
  AugmentOptions scaled(double factor) const;
  friend bool operator==(const AugmentOptions&, const AugmentOptions&) = default;
};

// Throws UsageError unless probabilities are within [0, 1], shift and erase_side within [0, 0.5], rotation
// within [0, 180], scale within [0, 1] and the colour ranges within [0, 1].
void check_augment(const AugmentOptions& options);

// Pixels of context that prepare() should leave on each side so that moved and turned photos show little
// repeated edge; at most a quarter of size.
int augment_margin(const AugmentOptions& options, int size);

// The row for one photo of side photo_side (size + 2 margin).
AugmentRow draw_augment_row(const AugmentOptions& options, uint64_t seed, int64_t step, int64_t position,
                            int photo_side, int size);

// The table [batch,16] of a step.
Tensor draw_augment_table(const AugmentOptions& options, uint64_t seed, int64_t step, int64_t batch,
                          int photo_side, int size);

}  // namespace tern
