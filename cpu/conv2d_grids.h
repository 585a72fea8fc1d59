#pragma once
// How convolution walks over its images: the patch grids of the forward pass and of the data gradient.

#include <cstdint>
#include <numeric>

#include "tern/cpu/conv2d_kernels.h"
#include "tern/cpu/depthwise.h"
#include "tern/ops/conv2d.h"

namespace tern::cpu {

// x seen from the outputs of one group.
template <class T>
PatchGridOf<T> forward_grid(const Conv2dGeometry& g, const T* x, int64_t group) {
  return {.image = x + group * g.group_in(),
          .images = g.n,
          .h = g.h,
          .w = g.w,
          .pixel = g.c,
          .channels = g.group_in(),
          .rows = g.out_h,
          .columns = g.out_w,
          .step_h = g.stride.h,
          .step_w = g.stride.w,
          .start_h = -g.padding.h,
          .start_w = -g.padding.w,
          .taps_h = g.kh,
          .taps_w = g.kw,
          .delta_h = g.dilation.h,
          .delta_w = g.dilation.w};
}

// A 1x1 convolution that skips nothing sees one image of as many rows as it likes: rows that are long enough
// for whole tiles.
inline PatchGrid reshaped(const PatchGrid& g) {
  constexpr int64_t kLeast = 8, kMost = 64;
  const bool pointwise = g.taps_h == 1 && g.taps_w == 1 && g.step_h == 1 && g.step_w == 1 && g.start_h == 0 &&
                         g.start_w == 0 && g.rows == g.h && g.columns == g.w;
  if (!pointwise) return g;
  for (int64_t columns = kMost; columns >= kLeast; --columns) {
    if (g.count() % columns != 0) continue;
    PatchGrid r = g;
    r.images = 1;
    r.columns = r.w = columns;
    r.rows = r.h = g.count() / columns;
    return r;
  }
  return g;
}

// The pixels r, r + s, r + 2s, .. of dx along one axis, s the stride. Output i and tap k reach pixel h = i s
// + k d - P, so only taps with (r + P - k d) divisible by s do: every q-th, q = s / gcd(s, d). Taken from the
// last to the first they visit dy in ascending order, which makes neighbouring taps neighbours in memory.
struct AxisPhase {
  AxisPhase(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation, int64_t residue)
      : residue(residue), positions((size - residue + stride - 1) / stride) {
    step = stride / std::gcd(stride, dilation);
    delta = step * dilation / stride;
    int64_t first = 0;
    while (first < kernel && (residue + padding - first * dilation) % stride != 0) ++first;
    if (first >= kernel) return;  // no tap reaches these pixels: their gradient is 0
    taps = (kernel - 1 - first) / step + 1;
    last = first + (taps - 1) * step;
    start = (residue + padding - last * dilation) / stride;
  }
  int64_t tap(int64_t t) const { return last - t * step; }

  int64_t residue, positions;
  int64_t taps = 0, last = 0, step = 1, start = 0, delta = 1;
};

// dy seen from the pixels of dx of one phase.
template <class T>
PatchGridOf<T> data_grid(const Conv2dGeometry& g, const T* dy, int64_t group, const AxisPhase& h,
                         const AxisPhase& w) {
  return {.image = dy + group * g.group_out(),
          .images = g.n,
          .h = g.out_h,
          .w = g.out_w,
          .pixel = g.o,
          .channels = g.group_out(),
          .rows = h.positions,
          .columns = w.positions,
          .step_h = 1,
          .step_w = 1,
          .start_h = h.start,
          .start_w = w.start,
          .taps_h = h.taps,
          .taps_w = w.taps,
          .delta_h = h.delta,
          .delta_w = w.delta};
}

// Calls phase(h, w) for every pair of residues that has pixels.
template <class Phase>
void for_each_phase(const Conv2dGeometry& g, Phase&& phase) {
  for (int64_t rh = 0; rh < g.stride.h && rh < g.h; ++rh)
    for (int64_t rw = 0; rw < g.stride.w && rw < g.w; ++rw)
      phase(AxisPhase(g.h, g.kh, g.stride.h, g.padding.h, g.dilation.h, rh),
            AxisPhase(g.w, g.kw, g.stride.w, g.padding.w, g.dilation.w, rw));
}

}  // namespace tern::cpu
