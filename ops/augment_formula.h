#pragma once
// The integer arithmetic of augment (ops/augment.h), one place for every backend. Fits 32 bits for every
// table that the op accepts: |m| <= 2^18, output < 2^10, |t| <= 2^29, so |position| < 2^30.

#include <cstdint>

#include "tern/core/macros.h"

namespace tern::augment_formula {

inline constexpr int kPositionBits = 16;  // of source positions and matrix entries
inline constexpr int kLevelBits = 7;      // fraction of a grey level between the stages
inline constexpr int kFactorBits = 12;    // of gain and saturation
inline constexpr int kResultBits = 16;    // fraction of a grey level at the end: 24 bits in all, exact in f32
inline constexpr int32_t kWhite = 255 << kLevelBits;
inline constexpr float kResultScale = 1.0f / (1 << kResultBits);

HD int32_t clamp(int32_t x, int32_t low, int32_t high) { return x < low ? low : x > high ? high : x; }

// Where a source position falls: two neighbouring pixels, both inside, and the weight (of 256) of the second.
struct Sample {
  int32_t first, second, weight;
};
HD Sample locate(int32_t position, int32_t side) {
  const int32_t i = position >> kPositionBits;
  return {clamp(i, 0, side - 1), clamp(i + 1, 0, side - 1), (position >> (kPositionBits - 8)) & 255};
}

// Levels (with kLevelBits) from four pixels; a weight of 0 gives the first pixel exactly.
HD int32_t bilinear(int32_t p00, int32_t p01, int32_t p10, int32_t p11, int32_t wx, int32_t wy) {
  const int32_t above = 256 * p00 + (p01 - p00) * wx;
  const int32_t below = 256 * p10 + (p11 - p10) * wx;
  return (256 * above + (below - above) * wy + (1 << (15 - kLevelBits))) >> (16 - kLevelBits);
}

HD int32_t luma(int32_t r, int32_t g, int32_t b) { return (77 * r + 150 * g + 29 * b + 128) >> 8; }

HD int32_t saturate(int32_t level, int32_t grey, int32_t saturation) {
  const int32_t half = 1 << (kFactorBits - 1);
  return clamp(grey + (((level - grey) * saturation + half) >> kFactorBits), 0, kWhite);
}

// gain * level + bias, clamped, with kResultBits. A gain of 1 and a bias of 0 keep the level exactly.
HD int32_t adjust(int32_t level, int32_t gain, int32_t bias) {
  const int32_t sum = level * gain + bias * (1 << kFactorBits);
  constexpr int kDrop = kLevelBits + kFactorBits - kResultBits;
  return (clamp(sum, 0, 255 << (kLevelBits + kFactorBits)) + (1 << (kDrop - 1))) >> kDrop;
}

}  // namespace tern::augment_formula
