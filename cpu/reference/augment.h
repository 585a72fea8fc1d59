#pragma once
// The naive form of augment: one output element at a time.

#include <cstdint>

#include "tern/ops/augment.h"
#include "tern/ops/augment_formula.h"

namespace tern::cpu::reference {

// One photo [height, width, channels] and its row -> out[size, size, channels].
inline void augment(const AugmentGeometry& g, const uint8_t* photo, const int32_t* row, float* out) {
  namespace f = augment_formula;
  const auto channels = static_cast<int32_t>(g.channels), width = static_cast<int32_t>(g.width);
  for (int32_t oy = 0; oy < g.size; ++oy) {
    for (int32_t ox = 0; ox < g.size; ++ox) {
      const int32_t sx = row[kAugmentM00] * ox + row[kAugmentM01] * oy + row[kAugmentTx];
      const int32_t sy = row[kAugmentM10] * ox + row[kAugmentM11] * oy + row[kAugmentTy];
      const f::Sample x = f::locate(sx, width), y = f::locate(sy, static_cast<int32_t>(g.height));
      int32_t level[3];
      for (int32_t c = 0; c < channels; ++c) {
        const auto at = [&](int32_t py, int32_t px) { return photo[(py * width + px) * channels + c]; };
        level[c] = f::bilinear(at(y.first, x.first), at(y.first, x.second), at(y.second, x.first),
                               at(y.second, x.second), x.weight, y.weight);
      }
      const int32_t grey = channels == 3 ? f::luma(level[0], level[1], level[2]) : 0;
      const bool erased = ox >= row[kAugmentEraseX0] && ox < row[kAugmentEraseX1] &&
                          oy >= row[kAugmentEraseY0] && oy < row[kAugmentEraseY1];
      for (int32_t c = 0; c < channels; ++c) {
        if (channels == 3) level[c] = f::saturate(level[c], grey, row[kAugmentSaturation]);
        int32_t result = f::adjust(level[c], row[kAugmentGain], row[kAugmentBias]);
        if (erased) result = (row[kAugmentColour] >> (8 * (channels - 1 - c)) & 255) << f::kResultBits;
        const float value = static_cast<float>(result) * f::kResultScale;
        *out++ = (value / 255.0f - g.mean[c]) / g.std[c];
      }
    }
  }
}

}  // namespace tern::cpu::reference
