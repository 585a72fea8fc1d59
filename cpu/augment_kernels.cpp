// One output row of augment, in planes: positions and weights (integer vectors), four loads per pixel
// (scalar, their addresses differ), then levels, colours and normalisation (vectors). The loops are plain;
// the compiler turns them into this instruction set's vectors.

#include "tern/cpu/augment_kernels.h"

#include "tern/cpu/vec.h"
#include "tern/ops/augment_formula.h"

namespace tern::cpu::TERN_ISA {

namespace {

namespace f = augment_formula;

// The four pixels around each sample point, as words whose lowest bytes are the channels, and the weights.
struct Neighbours {
  int32_t* __restrict p00;
  int32_t* __restrict p01;
  int32_t* __restrict p10;
  int32_t* __restrict p11;
  int32_t* __restrict wx;
  int32_t* __restrict wy;
};

template <int kChannels>
TERN_INLINE void locate_row(const AugmentJob& job, int32_t oy, const Neighbours& n) {
  const int32_t width = job.width, height = job.height, stride = width * kChannels;
  const int32_t sx0 = job.m01 * oy + job.tx, sy0 = job.m11 * oy + job.ty, m00 = job.m00, m10 = job.m10;
  for (int32_t i = 0; i < job.size; ++i) {
    const f::Sample x = f::locate(sx0 + m00 * i, width), y = f::locate(sy0 + m10 * i, height);
    n.p00[i] = y.first * stride + x.first * kChannels;
    n.p01[i] = y.first * stride + x.second * kChannels;
    n.p10[i] = y.second * stride + x.first * kChannels;
    n.p11[i] = y.second * stride + x.second * kChannels;
    n.wx[i] = x.weight;
    n.wy[i] = y.weight;
  }
}

TERN_INLINE int32_t load_word(const uint8_t* p) {
  int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  return word;
}

TERN_INLINE void load_pixels(const uint8_t* photo, const Neighbours& n, int32_t size) {
  for (int32_t i = 0; i < size; ++i) {
    n.p00[i] = load_word(photo + n.p00[i]);
    n.p01[i] = load_word(photo + n.p01[i]);
    n.p10[i] = load_word(photo + n.p10[i]);
    n.p11[i] = load_word(photo + n.p11[i]);
  }
}

TERN_INLINE void blend(const Neighbours& n, int c, int32_t size, int32_t* __restrict level) {
  const int shift = 8 * c;
  for (int32_t i = 0; i < size; ++i)
    level[i] = f::bilinear(n.p00[i] >> shift & 255, n.p01[i] >> shift & 255, n.p10[i] >> shift & 255,
                           n.p11[i] >> shift & 255, n.wx[i], n.wy[i]);
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
TERN_INLINE void copy_row(const AugmentJob& job, int32_t oy, int32_t* const* level) {
  const int32_t y = (job.ty >> f::kPositionBits) + oy, step = job.m00 > 0 ? kChannels : -kChannels;
  const uint8_t* in = job.photo + (y * job.width + (job.tx >> f::kPositionBits)) * kChannels;
  for (int32_t i = 0; i < job.size; ++i, in += step)
    for (int c = 0; c < kChannels; ++c) level[c][i] = int32_t{in[c]} << f::kLevelBits;
}

TERN_INLINE void saturate_row(const AugmentJob& job, int32_t* __restrict r, int32_t* __restrict g,
                              int32_t* __restrict b) {
  const int32_t saturation = job.saturation;
  for (int32_t i = 0; i < job.size; ++i) {
    const int32_t grey = f::luma(r[i], g[i], b[i]);
    r[i] = f::saturate(r[i], grey, saturation);
    g[i] = f::saturate(g[i], grey, saturation);
    b[i] = f::saturate(b[i], grey, saturation);
  }
}

// Gain, bias, the erased part, and the step to f32.
template <int kChannels>
TERN_INLINE void finish_channel(const AugmentJob& job, int c, bool erased, int32_t* __restrict level,
                                float* __restrict out) {
  const int32_t gain = job.gain, bias = job.bias, size = job.size;
  for (int32_t i = 0; i < size; ++i) level[i] = f::adjust(level[i], gain, bias);
  const int32_t value = (job.colour >> (8 * (kChannels - 1 - c)) & 255) << f::kResultBits;
  if (erased)
    for (int32_t i = job.erase_x0; i < job.erase_x1; ++i) level[i] = value;
  const float mean = job.mean[c], deviation = job.std[c];
  for (int32_t i = 0; i < size; ++i)
    out[i * kChannels + c] = (static_cast<float>(level[i]) * f::kResultScale / 255.0f - mean) / deviation;
}

template <int kChannels>
TERN_INLINE void row_of(const AugmentJob& job, int32_t oy, float* out) {
  const int32_t size = job.size;
  int32_t* const s = job.scratch;
  int32_t* const level[3] = {s, s + size, s + 2 * size};
  if (only_moves(job, oy)) {
    copy_row<kChannels>(job, oy, level);
  } else {
    const Neighbours n{s + 3 * size, s + 4 * size, s + 5 * size, s + 6 * size, s + 7 * size, s + 8 * size};
    locate_row<kChannels>(job, oy, n);
    load_pixels(job.photo, n, size);
    for (int c = 0; c < kChannels; ++c) blend(n, c, size, level[c]);
  }
  if (kChannels == 3 && job.saturation != 1 << f::kFactorBits)
    saturate_row(job, level[0], level[1], level[2]);
  const bool erased = oy >= job.erase_y0 && oy < job.erase_y1;
  for (int c = 0; c < kChannels; ++c) finish_channel<kChannels>(job, c, erased, level[c], out);
}

void row(const AugmentJob& job, int32_t oy, float* out) {
  if (job.channels == 3) row_of<3>(job, oy, out);
  else row_of<1>(job, oy, out);
}

}  // namespace

extern const AugmentKernels augment_table{row};

}  // namespace tern::cpu::TERN_ISA
