// Copies with padding: one run of floats per image row where the pixels stay as far apart as they are, one
// per pixel where a channel range is taken out or the distance changes.

#include "tern/cpu/conv2d_kernels.h"

#include "tern/cpu/vec.h"

namespace tern::cpu::TERN_ISA {
namespace {

using V = Vec<float>;
constexpr int kLanes = V::kLanes;

// Whole vectors; the last one overlaps its predecessor instead of leaving a tail.
TERN_INLINE void copy(const float* from, float* to, int64_t n) {
  if (n < kLanes) {
    for (int64_t i = 0; i < n; ++i) to[i] = from[i];
    return;
  }
  for (int64_t i = 0; i + kLanes <= n; i += kLanes) V::load(from + i).store(to + i);
  V::load(from + n - kLanes).store(to + n - kLanes);
}

TERN_INLINE int64_t clamp(int64_t x, int64_t low, int64_t high) {
  return x < low ? low : x > high ? high : x;
}

void pad_rows(const PatchGrid& g, const float* image, int64_t n, int64_t h, int64_t rows,
              const PaddedLayout& layout, float* to) {
  const int64_t row_floats = layout.width * layout.pitch;
  const int64_t left = clamp(-g.start_w, 0, layout.width);
  const int64_t right = clamp(g.w - g.start_w, left, layout.width);
  for (int64_t r = 0; r < rows; ++r, to += row_floats) {
    if (h + r < 0 || h + r >= g.h) {
      __builtin_memset(to, 0, static_cast<size_t>(row_floats) * sizeof(float));
      continue;
    }
    const float* from = image + ((n * g.h + h + r) * g.w + g.start_w + left) * g.pixel;
    if (left > 0) __builtin_memset(to, 0, static_cast<size_t>(left * layout.pitch) * sizeof(float));
    float* inside = to + left * layout.pitch;
    if (layout.pitch == g.pixel && layout.channels == g.pixel) {
      copy(from, inside, (right - left) * g.pixel);
    } else {
      for (int64_t w = left; w < right; ++w, from += g.pixel, inside += layout.pitch)
        copy(from, inside, layout.channels);
    }
    if (right < layout.width)
      __builtin_memset(to + right * layout.pitch, 0,
                       static_cast<size_t>((layout.width - right) * layout.pitch) * sizeof(float));
  }
}

void sum_rows(const float* x, int64_t ld, int64_t rows, int64_t columns, float* sums) {
  int64_t c = 0;
  for (; c + kLanes <= columns; c += kLanes) {
    V sum(0.0f);
    for (int64_t r = 0; r < rows; ++r) sum += V::load(x + r * ld + c);
    sum.store(sums + c);
  }
  for (; c < columns; ++c) {
    float sum = 0;
    for (int64_t r = 0; r < rows; ++r) sum += x[r * ld + c];
    sums[c] = sum;
  }
}

}  // namespace

constinit const ConvKernels conv_table = {pad_rows, sum_rows};

}  // namespace tern::cpu::TERN_ISA
