// Depthwise convolution, one filter per channel: direct sums, vectors over channels, no product of matrices.

#include <algorithm>

#include "tern/core/parallel.h"
#include "tern/cpu/conv2d_grids.h"
#include "tern/cpu/scratch.h"

namespace tern::cpu {
namespace {

constexpr int64_t kRowsPerChunk = 4;  // image rows a thread takes at a time
constexpr int64_t kSlices = 16;       // of the weight gradient's sum over image rows

}  // namespace

void depthwise_forward(const Conv2dGeometry& g, const float* x, const float* w, const float* bias, float* y) {
  const PatchGrid grid = forward_grid(g, x, 0);
  const int64_t taps = g.kh * g.kw;
  const Scratch<float> weights(taps * g.c);  // [tap][channel]
  for (int64_t c = 0; c < g.c; ++c)
    for (int64_t tap = 0; tap < taps; ++tap) weights.data()[tap * g.c + c] = w[c * taps + tap];
  parallel_for(g.n * g.out_h, kRowsPerChunk, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      conv_kernels().depthwise_row(grid, row / g.out_h, row % g.out_h, weights.data(), bias,
                                   y + row * g.out_w * g.c, g.c);
  });
}

void depthwise_backward_data(const Conv2dGeometry& g, const float* dy, const float* w, float* dx) {
  const Scratch<float> weights(g.kh * g.kw * g.c);
  for_each_phase(g, [&](const AxisPhase& h, const AxisPhase& v) {
    const PatchGrid grid = data_grid(g, dy, 0, h, v);
    for (int64_t tap = 0; tap < h.taps * v.taps; ++tap) {
      const int64_t from = h.tap(tap / v.taps) * g.kw + v.tap(tap % v.taps);
      for (int64_t c = 0; c < g.c; ++c) weights.data()[tap * g.c + c] = w[c * g.kh * g.kw + from];
    }
    parallel_for(g.n * grid.rows, kRowsPerChunk, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t n = row / grid.rows, i = row % grid.rows;
        float* to = dx + ((n * g.h + h.residue + i * g.stride.h) * g.w + v.residue) * g.c;
        conv_kernels().depthwise_row(grid, n, i, weights.data(), nullptr, to, g.stride.w * g.c);
      }
    });
  });
}

void depthwise_backward_weight(const Conv2dGeometry& g, const float* dy, const float* x, float* dw) {
  const PatchGrid grid = forward_grid(g, x, 0);
  const int64_t taps = g.kh * g.kw, rows = g.n * g.out_h, slices = std::min(kSlices, rows);
  const Scratch<float> partial(slices * taps * g.c);
  parallel_for(slices, 1, [&](int64_t begin, int64_t end) {
    for (int64_t slice = begin; slice < end; ++slice) {
      float* sums = partial.data() + slice * taps * g.c;
      std::fill_n(sums, taps * g.c, 0.0f);
      for (int64_t row = slice * rows / slices; row < (slice + 1) * rows / slices; ++row)
        conv_kernels().depthwise_weight_row(grid, row / g.out_h, row % g.out_h, dy + row * g.out_w * g.c,
                                            sums);
    }
  });
  for (int64_t tap = 0; tap < taps; ++tap)
    for (int64_t c = 0; c < g.c; ++c) {
      float sum = 0;
      for (int64_t slice = 0; slice < slices; ++slice) sum += partial.data()[(slice * taps + tap) * g.c + c];
      dw[c * taps + tap] = sum;
    }
}

}  // namespace tern::cpu
