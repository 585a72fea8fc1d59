// Convolution as a product of patches and weights: y = patches(x) w^T, and dx = patches(dy) w with the taps
// reversed. The patches are never stored: a block of image rows is copied with its padding
// (cpu/conv2d_rows.h) and the register tile reads its rows from there, neighbouring outputs of one image row,
// one run of floats after another:
//
//   for each range of output channels whose filters fit the second-level cache   (tasks, in parallel)
//     for each block of image rows                                               (tasks, in parallel)
//       copy the rows with padding
//       for each tile of neighbouring outputs       its patches stay in the first-level cache
//         for each panel of kNr output channels     its filters stream from the second-level cache
//           for each row of taps, for each (tap, channel): kMr x kNr multiply-adds in registers

#include "tern/ops/conv2d.h"

#include <algorithm>

#include "tern/core/parallel.h"
#include "tern/cpu/conv2d_grids.h"
#include "tern/cpu/conv2d_pointwise.h"
#include "tern/cpu/conv2d_rows.h"
#include "tern/cpu/conv2d_tile.h"
#include "tern/cpu/conv2d_winograd.h"
#include "tern/cpu/epilogue.h"
#include "tern/cpu/filter_cache.h"
#include "tern/cpu/gemm.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/reference/conv2d.h"

namespace tern::cpu {
namespace {

// How the product is cut into tasks. The bits of the result do not depend on it; where rows are cut decides
// those of moments, and depends on sizes alone.
struct PatchTasks {
  PatchTasks(const PatchGrid& grid, const PackedB& b)
      // A photo alone: reading the filters is the work, so threads share them out instead of the image.
      : filters(b, b.blocks.k, kFilterShare, grid.count() <= kFewOutputs ? kTasks : 1),
        blocks(grid, pixels(grid, std::min(kTasks, b.panels))) {}
  static int64_t pixels(const PatchGrid& grid, int64_t ranges) {
    constexpr int64_t kCachedFloats = 48 * 1024;
    const int64_t cached = kCachedFloats / std::max<int64_t>(1, grid.channels * grid.step_h * grid.step_w);
    const int64_t tasks =
        grid.count() <= kFewOutputs ? (kTasks + ranges - 1) / std::max<int64_t>(1, ranges) : kTasks;
    return std::max<int64_t>(1, std::min(cached, grid.count() / tasks));
  }
  int64_t count() const { return blocks.count * filters.count; }

  static constexpr int64_t kTasks = 16, kFewOutputs = 512;
  PanelRanges filters;
  RowBlocks blocks;
};

// What is added to the products and done to them: of output channel `first` of C's rows on, rows c_row apart.
struct Finish {
  const float* bias = nullptr;
  const Epilogue<float>& epilogue;
  int64_t first = 0, c_row = 0;
};

// C[row, :] = act(patches(grid)[row, :] B + bias + residual) for all grid positions; pointers(row, rows, c)
// sets c[0 .. rows) to the rows of C. B is one block of depth.
template <class Pointers>
void multiply_patches(const PatchGrid& whole, const PackedB& b, Pointers&& pointers, const Finish& finish) {
  const GemmKernels& kernels = gemm_kernels();
  const bool later = finish.epilogue.has_residual();  // comes before the activation
  const Activation activation = later ? Activation::None : finish.epilogue.activation();
  const float* const slope = finish.epilogue.slope() ? finish.epilogue.slope() + finish.first : nullptr;
  const PatchGrid grid = reshaped(whole);
  const PatchTasks tasks(grid, b);
  const Segments segments(grid.columns, kernels.by_rows.rows);
  if (finish.first == 0) finish.epilogue.cut(tasks.blocks.count);
  parallel_for(tasks.count(), 1, [&](int64_t begin, int64_t end) {
    PaddedRows padded(grid, grid.channels, tasks.blocks, PaddedRows::Reads::Floats);
    const Scratch<int64_t> runs(padded.runs());
    for (int64_t run = 0; run < padded.runs(); ++run) runs.data()[run] = padded.run(run);
    float *c[kMaxTileRows], *c_next[kMaxTileRows];
    for (int64_t task = begin; task < end; ++task) {
      const int64_t index = task % tasks.blocks.count;
      const RowBlocks::Block block = tasks.blocks.block(index);
      const int64_t first_panel = tasks.filters.begin(task / tasks.blocks.count);
      const int64_t last_panel = tasks.filters.end(task / tasks.blocks.count);
      padded.load(block, 0);
      const int64_t rows = block.images * block.rows, per_tile = segments.paired ? 2 : 1;
      const int64_t outputs = rows * grid.columns;
      Prefetch ahead;
      if (task + 1 < end)
        ahead = padded.ahead(tasks.blocks.block((task + 1) % tasks.blocks.count), 0,
                             (rows + per_tile - 1) / per_tile * segments.count * (last_panel - first_panel));
      const int64_t first_row = (block.n * grid.rows + block.i) * grid.columns;
      const int64_t first = first_panel * b.width, last = std::min(b.n, last_panel * b.width);
      for (int64_t r = 0; r < rows; r += per_tile)
        for (int64_t s = 0; s < segments.count; ++s) {
          const int64_t used = std::min(per_tile, rows - r), j = segments.begin(s), size = segments.size(s);
          const int64_t tile_rows = used * size;
          const int64_t row = r * grid.columns + j;
          pointers(first_row + row, tile_rows, c);
          const bool more = row + 2 * tile_rows <= outputs;
          if (more) pointers(first_row + row + tile_rows, tile_rows, c_next);
          const float* const patch = padded.patch(r, j);
          const float* const second = used == 2 ? padded.patch(r + 1, j) : nullptr;
          for (int64_t panel = first_panel; panel < last_panel; ++panel) {
            const int64_t column = panel * b.width;
            ahead.step();
            kernels.by_rows[tile_rows]({.a = patch,
                                        .a_second = second,
                                        .a_stride = padded.pixel_step(),
                                        .b = b.panel(0, panel),
                                        .depth = padded.run_length(),
                                        .runs = padded.runs(),
                                        .a_run = runs.data(),
                                        .c = c,
                                        .c_next = more ? c_next : nullptr,
                                        .bias = finish.bias ? finish.bias + column : nullptr,
                                        .slope = slope ? slope + column : nullptr,
                                        .activation = activation,
                                        .column = column,
                                        .columns = std::min(b.width, b.n - column)});
          }
          if (later) finish.epilogue.apply(c[0], finish.first, first, last - first, tile_rows, finish.c_row);
        }
      pointers(first_row, 1, c);
      finish.epilogue.finished(index, outputs, c[0], finish.first, first, last - first);
    }
  });
}

}  // namespace

void conv2d_forward_f32(const Conv2dGeometry& g, const float* x, const Tensor& w, const float* bias, float* y,
                        const Epilogue<float>& epilogue) {
  if (is_depthwise(g)) return depthwise_forward(g, x, w, bias, y, epilogue);
  if (is_pointwise(g)) return pointwise_forward(g, x, w, bias, y, epilogue);
  if (use_winograd(g)) return winograd_forward(g, x, w, bias, y, epilogue);
  for (int64_t group = 0; group < g.groups; ++group) {
    const int64_t first = group * g.group_out();
    const auto b = cached_filters<PackedB>(w, FilterForm::Panels, group, [&] {
      auto panels = std::make_unique<PackedB>(g.patch(), g.group_out(), g.patch());
      panels->pack(w.data<float>() + first * g.patch(), g.patch(), true);
      return panels;
    });
    multiply_patches(
        forward_grid(g, x, group), *b,
        [&](int64_t row, int64_t rows, float** c) {
          for (int64_t r = 0; r < rows; ++r) c[r] = y + (row + r) * g.o + first;
        },
        {.bias = bias ? bias + first : nullptr, .epilogue = epilogue, .first = first, .c_row = g.o});
  }
}

namespace {

// Row (tap p, tap q, output o) of B is w[o, p, q, :] of the group, taps in the order of the phase.
void pack_data_weights(const Conv2dGeometry& g, const float* w, const AxisPhase& h, const AxisPhase& v,
                       PackedB& b) {
  const GemmKernels& kernels = gemm_kernels();
  const int64_t outputs = g.group_out();
  b.fill([&](int64_t k, int64_t depth, int64_t column, int64_t columns, float* panel) {
    for (const int64_t end = k + depth; k < end;) {
      const int64_t tap = k / outputs, o = k % outputs, run = std::min(outputs - o, end - k);
      const int64_t offset = h.tap(tap / v.taps) * g.kw + v.tap(tap % v.taps);
      kernels.pack_panel(w + o * g.patch() + offset * g.group_in() + column, g.patch(), run, columns, panel);
      k += run;
      panel += run * b.width;
    }
  });
}

void backward_data(const Conv2dGeometry& g, const float* dy, const float* w, float* dx) {
  if (is_depthwise(g)) return depthwise_backward_data(g, dy, w, dx);
  if (is_pointwise(g)) return pointwise_backward_data(g, dy, w, dx);
  if (use_winograd(g)) return winograd_backward_data(g, dy, w, dx);
  // Pixels that no tap reaches, as three of four in a 1x1 convolution of stride 2.
  bool empty = false;
  for_each_phase(g, [&](const AxisPhase& h, const AxisPhase& v) { empty |= h.taps * v.taps == 0; });
  if (empty)
    parallel_for(g.n * g.h, 1, [&](int64_t begin, int64_t end) {
      std::fill(dx + begin * g.w * g.c, dx + end * g.w * g.c, 0.0f);
    });
  for_each_phase(g, [&](const AxisPhase& h, const AxisPhase& v) {
    if (h.taps * v.taps == 0) return;
    for (int64_t group = 0; group < g.groups; ++group) {
      const PatchGrid grid = data_grid(g, dy, group, h, v);
      PackedB b(grid.patch(), g.group_in(), grid.patch());
      pack_data_weights(g, w + group * g.group_out() * g.patch(), h, v, b);
      multiply_patches(
          grid, b,
          [&](int64_t row, int64_t rows, float** c) {
            int64_t j = row % grid.columns, i = row / grid.columns % grid.rows;
            int64_t n = row / grid.columns / grid.rows;
            for (;; j = 0) {  // one image row after another: a division for each row of C would show
              const int64_t pixel = (n * g.h + h.residue + i * g.stride.h) * g.w + v.residue;
              float* line = dx + pixel * g.c + group * g.group_in();
              for (; j < grid.columns; ++j) {
                if (rows-- == 0) return;
                *c++ = line + j * g.stride.w * g.c;
              }
              if (++i == grid.rows) i = 0, ++n;
            }
          },
          {.epilogue = {}});
    }
  });
}

}  // namespace

const ConvKernels& conv_kernels() {
  return isa_pick(
      []() -> auto& { return baseline::conv_table; }, []() -> auto& { return avx2::conv_table; },
      []() -> auto& { return avx512::conv_table; });
}

void conv2d_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& w, const Tensor& bias,
                    const Tensor& y) {
  if (x.dtype() == DType::BF16) return conv2d_forward_bf16(g, x, w, bias, y);
  Tensor out = y;
  if (x.dtype() == DType::F64) {
    reference::conv2d_forward(g, x.data<double>(), w.data<double>(),
                              bias.defined() ? bias.data<double>() : nullptr, out.mutable_data<double>());
  } else if (use_reference()) {
    reference::conv2d_forward(g, x.data<float>(), w.data<float>(), bias_data(bias),
                              out.mutable_data<float>());
  } else {
    conv2d_forward_f32(g, x.data<float>(), w, bias_data(bias), out.mutable_data<float>(), {});
  }
}

void conv2d_backward_data(const Conv2dGeometry& g, const Tensor& dy, const Tensor& w, const Tensor& dx) {
  if (dy.dtype() == DType::BF16) return conv2d_backward_data_bf16(g, dy, w, dx);
  Tensor out = dx;
  if (dy.dtype() == DType::F64)
    reference::conv2d_backward_data(g, dy.data<double>(), w.data<double>(), out.mutable_data<double>());
  else if (use_reference())
    reference::conv2d_backward_data(g, dy.data<float>(), w.data<float>(), out.mutable_data<float>());
  else backward_data(g, dy.data<float>(), w.data<float>(), out.mutable_data<float>());
}

}  // namespace tern::cpu
