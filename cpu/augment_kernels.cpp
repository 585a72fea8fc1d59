// One output row of augment in three passes: gather the levels (scalar: addresses differ from pixel to
// pixel), colour them (integer vectors), normalise (float vectors). The loops are plain; the compiler turns
// them into this instruction set's vectors.

#include "tern/cpu/augment_kernels.h"

#include "tern/cpu/vec.h"
#include "tern/ops/augment_formula.h"

namespace tern::cpu::TERN_ISA {

namespace {

namespace f = augment_formula;

template <int kChannels>
TERN_INLINE void sample_row(const AugmentJob& job, int32_t oy, int32_t* levels) {
  const int32_t stride = job.width * kChannels;
  int32_t sx = job.m01 * oy + job.tx, sy = job.m11 * oy + job.ty;
  for (int32_t ox = 0; ox < job.size; ++ox, sx += job.m00, sy += job.m10) {
    const f::Sample x = f::locate(sx, job.width), y = f::locate(sy, job.height);
    const uint8_t* above = job.photo + y.first * stride;
    const uint8_t* below = job.photo + y.second * stride;
    const int32_t left = x.first * kChannels, right = x.second * kChannels;
    for (int c = 0; c < kChannels; ++c)
      *levels++ = f::bilinear(above[left + c], above[right + c], below[left + c], below[right + c], x.weight,
                              y.weight);
  }
}

// Whether the row only moves: whole pixels, upright, all inside. Then levels are copies.
TERN_INLINE bool only_moves(const AugmentJob& job, int32_t oy) {
  const int32_t one = 1 << f::kPositionBits;
  if ((job.m00 != one && job.m00 != -one) || job.m10 != 0 || job.m11 != one || job.m01 != 0) return false;
  if ((job.tx | job.ty) & (one - 1)) return false;
  const int32_t y = (job.ty >> f::kPositionBits) + oy;
  const int32_t begin = job.tx >> f::kPositionBits;
  const int32_t end = begin + (job.m00 > 0 ? job.size - 1 : 1 - job.size);
  return y >= 0 && y < job.height && begin >= 0 && begin < job.width && end >= 0 && end < job.width;
}

template <int kChannels>
TERN_INLINE void copy_row(const AugmentJob& job, int32_t oy, int32_t* levels) {
  const int32_t y = (job.ty >> f::kPositionBits) + oy;
  const uint8_t* in = job.photo + (y * job.width + (job.tx >> f::kPositionBits)) * kChannels;
  if (job.m00 > 0) {
    for (int32_t i = 0; i < job.size * kChannels; ++i) levels[i] = int32_t{in[i]} << f::kLevelBits;
    return;
  }
  for (int32_t ox = 0; ox < job.size; ++ox, in -= kChannels)
    for (int c = 0; c < kChannels; ++c) *levels++ = int32_t{in[c]} << f::kLevelBits;
}

TERN_INLINE void saturate_row(const AugmentJob& job, int32_t* levels) {
  for (int32_t i = 0; i < job.size; ++i, levels += 3) {
    const int32_t grey = f::luma(levels[0], levels[1], levels[2]);
    for (int c = 0; c < 3; ++c) levels[c] = f::saturate(levels[c], grey, job.saturation);
  }
}

TERN_INLINE void erase_row(const AugmentJob& job, int32_t* levels) {
  for (int32_t x = job.erase_x0; x < job.erase_x1; ++x)
    for (int32_t c = 0; c < job.channels; ++c)
      levels[x * job.channels + c] = (job.colour >> (8 * (job.channels - 1 - c)) & 255) << f::kResultBits;
}

template <int kChannels>
TERN_INLINE void row_of(const AugmentJob& job, int32_t oy, float* out) {
  int32_t* const levels = job.levels;
  if (only_moves(job, oy)) copy_row<kChannels>(job, oy, levels);
  else sample_row<kChannels>(job, oy, levels);
  if (kChannels == 3 && job.saturation != 1 << f::kFactorBits) saturate_row(job, levels);
  const int32_t n = job.size * kChannels, gain = job.gain, bias = job.bias;
  for (int32_t i = 0; i < n; ++i) levels[i] = f::adjust(levels[i], gain, bias);
  if (oy >= job.erase_y0 && oy < job.erase_y1) erase_row(job, levels);
  const float* const means = job.mean;
  const float* const stds = job.std;
  for (int32_t i = 0; i < n; ++i)
    out[i] = (static_cast<float>(levels[i]) * f::kResultScale / 255.0f - means[i]) / stds[i];
}

void row(const AugmentJob& job, int32_t oy, float* out) {
  if (job.channels == 3) row_of<3>(job, oy, out);
  else row_of<1>(job, oy, out);
}

}  // namespace

extern const AugmentKernels augment_table{row};

}  // namespace tern::cpu::TERN_ISA
