// Convolution on tiles, as products of patches and weights, like the f32 passes (cpu/conv2d.cpp,
// cpu/conv2d_weight.cpp). The patches of a task's pixels are gathered block of depth by block of depth into
// its cache and never stored as a whole; those of a 1x1 convolution are multiplied where they lie. The weight
// gradient is in cpu/conv2d_tile_weight.cpp.

#include "tern/cpu/conv2d_tile.h"

#include <algorithm>

#include "tern/cpu/bf16.h"
#include "tern/cpu/conv2d_grids.h"
#include "tern/cpu/filter_cache.h"
#include "tern/cpu/gemm_tile.h"

namespace tern::cpu {
namespace {

using Grid = PatchGridOf<bfloat16>;

// Whether every patch is one pixel and every pixel one patch, with whole steps of depth: A is the image.
bool is_matrix(const Grid& grid) {
  return grid.taps_h == 1 && grid.taps_w == 1 && grid.step_h == 1 && grid.step_w == 1 && grid.start_h == 0 &&
         grid.start_w == 0 && grid.rows == grid.h && grid.columns == grid.w && grid.channels % kTileStep == 0;
}

// C[row, :] = patches(grid)[row, :] B; pointers and done as in run_tile_product.
template <class Pointers, class Done>
void multiply_patches(const Grid& grid, const TilePanels& b, TileOutput output, const Pointers& pointers,
                      const Done& done) {
  const bool matrix = is_matrix(grid);
  run_tile_product(
      grid.count(), b, output,
      [&](int64_t row, int64_t rows, int64_t k, int64_t depth, bfloat16* packed, int64_t stride) {
        if (matrix && rows % kTileBlock == 0) return TileRows{grid.image + row * grid.pixel + k, grid.pixel};
        tile_kernels().gather(grid, row, rows, k, depth, packed, stride);
        return TileRows{packed, stride};
      },
      pointers, done);
}

void forward(const Conv2dGeometry& g, const bfloat16* x, const Tensor& w, const float* bias, bfloat16* y,
             const Epilogue<bfloat16>& epilogue) {
  for (int64_t group = 0; group < g.groups; ++group) {
    const int64_t first = group * g.group_out();
    const auto b = cached_filters<TilePanels>(w, FilterForm::Panels, group, [&] {
      auto panels = std::make_unique<TilePanels>(g.patch(), g.group_out());
      const float* weights = w.data<float>() + first * g.patch();
      panels->fill([&](int64_t k, int64_t depth, int64_t column, int64_t columns, bfloat16* panel) {
        tile_kernels().pack_transposed(weights + column * g.patch() + k, g.patch(), depth, columns, panel);
      });
      return panels;
    });
    const TileTasks tasks(g.pixels(), *b);
    if (group == 0) epilogue.cut(tasks.row_tasks);
    multiply_patches(
        forward_grid(g, x, group), *b, {.bf16 = true, .bias = bias ? bias + first : nullptr},
        [&](int64_t row, int64_t rows, void** out) {
          for (int64_t r = 0; r < rows; ++r) out[r] = y + (row + r) * g.o + first;
        },
        [&](int64_t row, int64_t rows, int64_t column, int64_t columns) {
          epilogue.finished(row / tasks.rows, rows, y + row * g.o + first, first, column, columns);
        });
  }
}

// Row (tap p, tap q, output o) of B is w[o, p, q, :] of the group, taps in the order of the phase.
void pack_data_weights(const Conv2dGeometry& g, const float* w, const AxisPhase& h, const AxisPhase& v,
                       TilePanels& b) {
  const int64_t outputs = g.group_out(), channels = g.group_in();
  // Steps of 32 depths may straddle taps: the rows of a step are put next to each other first where they do.
  b.fill([&](int64_t k, int64_t depth, int64_t column, int64_t columns, bfloat16* panel) {
    const auto source = [&](int64_t row) {
      const int64_t tap = row / outputs, o = row % outputs;
      return w + o * g.patch() + (h.tap(tap / v.taps) * g.kw + v.tap(tap % v.taps)) * channels + column;
    };
    float rows[kTileStep * kTileBlock];
    for (int64_t i = 0; i < depth; i += kTileStep, panel += kTilePanelStep) {
      const int64_t n = std::min(kTileStep, depth - i), o = (k + i) % outputs;
      if (o + n <= outputs) {
        tile_kernels().pack_rows(source(k + i), g.patch(), n, columns, panel);
        continue;
      }
      for (int64_t r = 0; r < n; ++r) std::copy_n(source(k + i + r), columns, rows + r * kTileBlock);
      tile_kernels().pack_rows(rows, kTileBlock, n, columns, panel);
    }
  });
}

void backward_data(const Conv2dGeometry& g, const bfloat16* dy, const float* w, bfloat16* dx) {
  for_each_phase(g, [&](const AxisPhase& h, const AxisPhase& v) {
    for (int64_t group = 0; group < g.groups; ++group) {
      const Grid grid = data_grid(g, dy, group, h, v);
      TilePanels b(grid.patch(), g.group_in());
      if (grid.patch() > 0) pack_data_weights(g, w + group * g.group_out() * g.patch(), h, v, b);
      multiply_patches(
          grid, b, {.bf16 = true, .bias = nullptr},
          [&](int64_t row, int64_t rows, void** out) {
            for (int64_t r = 0; r < rows; ++r) {
              const int64_t j = (row + r) % grid.columns, i = (row + r) / grid.columns % grid.rows;
              const int64_t n = (row + r) / (grid.columns * grid.rows);
              const int64_t pixel = (n * g.h + h.residue + i * g.stride.h) * g.w + v.residue + j * g.stride.w;
              out[r] = dx + pixel * g.c + group * g.group_in();
            }
          },
          nothing_follows);
    }
  });
}

// The f32 weights that the f32 kernels take in place of the tiles: rounded to bf16 as well.
Tensor rounded(const Tensor& w) {
  const Tensor narrow = Tensor::empty(w.shape(), {.dtype = DType::BF16});
  cast(w, narrow);
  return widened(narrow);
}

bool on_tiles(const Conv2dGeometry& g) { return use_tiles() && !is_depthwise(g); }
// One filter a channel: bytes decide, not products; bf16 is read and written as it lies.
bool on_depthwise(const Conv2dGeometry& g) { return is_depthwise(g) && !use_reference(); }

}  // namespace

void conv2d_forward_bf16(const Conv2dGeometry& g, const Tensor& x, const Tensor& w, const Tensor& bias,
                         const Tensor& y, const Epilogue<bfloat16>& epilogue) {
  const float* const b = bias_data(bias);
  if (on_tiles(g)) return forward(g, x.data<bfloat16>(), w, b, Tensor(y).mutable_data<bfloat16>(), epilogue);
  if (on_depthwise(g))
    return depthwise_forward(g, x.data<bfloat16>(), rounded(w), b, Tensor(y).mutable_data<bfloat16>(),
                             epilogue);
  narrowing(y, [&](const Tensor& out) { conv2d_forward(g, widened(x), rounded(w), bias, out); });
}

void conv2d_backward_data_bf16(const Conv2dGeometry& g, const Tensor& dy, const Tensor& w, const Tensor& dx) {
  if (on_tiles(g))
    return backward_data(g, dy.data<bfloat16>(), w.data<float>(), Tensor(dx).mutable_data<bfloat16>());
  if (on_depthwise(g))
    return depthwise_backward_data(g, dy.data<bfloat16>(), rounded(w).data<float>(),
                                   Tensor(dx).mutable_data<bfloat16>());
  narrowing(dx, [&](const Tensor& out) { conv2d_backward_data(g, widened(dy), rounded(w), out); });
}

void conv2d_backward_weight_bf16(const Conv2dGeometry& g, const Tensor& dy, const Tensor& x,
                                 const Tensor& dw) {
  if (on_tiles(g))
    return conv2d_backward_weight_tiles(g, dy.data<bfloat16>(), x.data<bfloat16>(),
                                        Tensor(dw).mutable_data<float>());
  if (on_depthwise(g))
    return depthwise_backward_weight(g, dy.data<bfloat16>(), x.data<bfloat16>(),
                                     Tensor(dw).mutable_data<float>());
  conv2d_backward_weight(g, widened(dy), widened(x), dw);
}

}  // namespace tern::cpu
