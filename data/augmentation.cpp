#include "tern/data/augmentation.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tern/core/error.h"
#include "tern/core/philox.h"

namespace tern {

namespace {

// The draws of one photo: blocks position * kBlocks ... of (seed, step).
class Draws {
 public:
  Draws(uint64_t seed, int64_t step, int64_t position)
      : philox_{seed, RandomStream::Augment},
        step_(static_cast<uint64_t>(step)),
        block_(static_cast<uint32_t>(position) * kBlocks) {}
  // Each use has its own number, so that a switched-off effect changes no other.
  double uniform(int draw) const {
    return uniform01(philox_.block(step_, block_ + static_cast<uint32_t>(draw / 4)).value[draw % 4]);
  }
  double within(int draw, double low, double high) const { return low + (high - low) * uniform(draw); }

 private:
  static constexpr uint32_t kBlocks = 8;
  Philox philox_;
  uint64_t step_;
  uint32_t block_;
};

enum Draw {
  kFlip,
  kShiftX,
  kShiftY,
  kTurn,
  kZoom,
  kBrightness,
  kContrast,
  kSaturation,
  kErase,
  kEraseW,
  kEraseH,
  kEraseX,
  kEraseY,
  kEraseColour
};

int32_t fixed(double value, int bits) { return static_cast<int32_t>(std::llround(std::ldexp(value, bits))); }

// Output centre to photo centre plus the shift, through mirror, turn and zoom.
void place(AugmentRow& row, const AugmentOptions& o, const Draws& draws, int photo_side, int size) {
  const double turn = draws.within(kTurn, -o.rotation, o.rotation) * std::numbers::pi / 180;
  const double zoom = std::pow(1 + o.scale, draws.within(kZoom, -1, 1));
  const double mirror = draws.uniform(kFlip) < o.flip ? -1 : 1;
  const double cosine = std::cos(turn) / zoom, sine = std::sin(turn) / zoom;
  row[kAugmentM00] = fixed(mirror * cosine, 16);
  row[kAugmentM01] = fixed(-sine, 16);
  row[kAugmentM10] = fixed(mirror * sine, 16);
  row[kAugmentM11] = fixed(cosine, 16);
  const double reach = o.shift * size;
  const auto shift_x = std::llround(draws.within(kShiftX, -reach, reach));
  const auto shift_y = std::llround(draws.within(kShiftY, -reach, reach));
  // In halves of 1/65536 pixel: centres lie on halves of a pixel.
  const auto offset = [&](int64_t shift, int32_t along_x, int32_t along_y) {
    const int64_t twice =
        (int64_t{photo_side} - 1 + 2 * shift) * 65536 - (int64_t{along_x} + along_y) * (size - 1);
    return static_cast<int32_t>(twice >> 1);
  };
  row[kAugmentTx] = offset(shift_x, row[kAugmentM00], row[kAugmentM01]);
  row[kAugmentTy] = offset(shift_y, row[kAugmentM10], row[kAugmentM11]);
}

// Brightness b, then contrast c around mid-grey: c (b v - 128) + 128.
void colour(AugmentRow& row, const AugmentOptions& o, const Draws& draws) {
  const double b = draws.within(kBrightness, 1 - o.brightness, 1 + o.brightness);
  const double c = draws.within(kContrast, 1 - o.contrast, 1 + o.contrast);
  row[kAugmentGain] = fixed(b * c, 12);
  row[kAugmentBias] = fixed(128 * (1 - c), 7);
  row[kAugmentSaturation] = fixed(draws.within(kSaturation, 1 - o.saturation, 1 + o.saturation), 12);
}

void erase(AugmentRow& row, const AugmentOptions& o, const Draws& draws, int size) {
  if (draws.uniform(kErase) >= o.erase) return;
  const double longest = o.erase_side * size;
  const auto side = [&](Draw draw) {
    return std::clamp(static_cast<int>(std::lround(draws.within(draw, longest / 3, longest))), 0, size);
  };
  const int width = side(kEraseW), height = side(kEraseH);
  row[kAugmentEraseX0] = static_cast<int32_t>(draws.uniform(kEraseX) * (size - width + 1));
  row[kAugmentEraseY0] = static_cast<int32_t>(draws.uniform(kEraseY) * (size - height + 1));
  row[kAugmentEraseX1] = row[kAugmentEraseX0] + width;
  row[kAugmentEraseY1] = row[kAugmentEraseY0] + height;
  row[kAugmentColour] = static_cast<int32_t>(draws.uniform(kEraseColour) * 256) * 0x010101;
}

}  // namespace

AugmentOptions AugmentOptions::scaled(double factor) const {
  const auto times = [factor](double value, double high) { return std::min(factor * value, high); };
  return {.flip = flip,
          .shift = times(shift, 0.5),
          .rotation = times(rotation, 180),
          .scale = times(scale, 1),
          .brightness = times(brightness, 1),
          .contrast = times(contrast, 1),
          .saturation = times(saturation, 1),
          .erase = times(erase, 1),
          .erase_side = erase_side};
}

void check_augment(const AugmentOptions& o) {
  const auto within = [](const char* name, double value, double high) {
    check(value >= 0 && value <= high, "augment: ", name, " ", value, " is not within 0 .. ", high);
  };
  within("flip", o.flip, 1);
  within("shift", o.shift, 0.5);
  within("rotation", o.rotation, 180);
  within("scale", o.scale, 1);
  within("brightness", o.brightness, 1);
  within("contrast", o.contrast, 1);
  within("saturation", o.saturation, 1);
  within("erase", o.erase, 1);
  within("erase_side", o.erase_side, 0.5);
}

int augment_margin(const AugmentOptions& o, int size) {
  check_augment(o);
  const double turn = std::min(o.rotation, 45.0) * std::numbers::pi / 180;
  const double reach = o.shift + (std::cos(turn) + std::sin(turn)) / 2 * (1 + o.scale) - 0.5;
  return std::min(static_cast<int>(std::ceil(reach * size)), size / 4);
}

AugmentRow draw_augment_row(const AugmentOptions& options, uint64_t seed, int64_t step, int64_t position,
                            int photo_side, int size) {
  const Draws draws(seed, step, position);
  AugmentRow row{};
  place(row, options, draws, photo_side, size);
  colour(row, options, draws);
  erase(row, options, draws, size);
  return row;
}

Tensor draw_augment_table(const AugmentOptions& options, uint64_t seed, int64_t step, int64_t batch,
                          int photo_side, int size) {
  check_augment(options);
  std::vector<AugmentRow> rows(static_cast<size_t>(batch));
  for (int64_t i = 0; i < batch; ++i) rows[i] = draw_augment_row(options, seed, step, i, photo_side, size);
  return augment_table(rows);
}

}  // namespace tern
