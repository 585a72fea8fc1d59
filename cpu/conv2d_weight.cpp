// The weight gradient as a product of dy^T and patches(x), summed over all output pixels; and the bias
// gradient.

#include <algorithm>

#include "tern/cpu/bf16.h"
#include "tern/cpu/conv2d_grids.h"
#include "tern/cpu/conv2d_tile.h"
#include "tern/cpu/conv2d_winograd.h"
#include "tern/cpu/gemm.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/reference/conv2d.h"

namespace tern::cpu {
namespace {

// How the gradient of one group [outputs, patch] is cut into tasks: column ranges of whole panels, and slices
// of the sum over pixels where there are few columns. Slices are summed in order, so the cut, which depends
// on sizes only, gives the same bits on any number of threads.
struct WeightPlan {
  WeightPlan(const Conv2dGeometry& g, int64_t width) : blocks(g.pixels()) {
    constexpr int64_t kCachedPanels = 10, kEnoughTasks = 16;
    const int64_t panels = (g.patch() + width - 1) / width;
    const int64_t least = (panels + kCachedPanels - 1) / kCachedPanels;
    const int64_t ranges = least <= 4 ? least : (least + 3) / 4 * 4;
    panels_per_range = (panels + ranges - 1) / ranges;
    column_ranges = (panels + panels_per_range - 1) / panels_per_range;
    const int64_t tasks = column_ranges * g.groups;
    slices = tasks * 2 >= kEnoughTasks ? 1 : std::min(blocks.count, (kEnoughTasks + tasks - 1) / tasks);
  }
  int64_t tasks(const Conv2dGeometry& g) const { return slices * g.groups * column_ranges; }

  DepthBlocks blocks;  // of pixels
  int64_t panels_per_range, column_ranges, slices;
};

class WeightTask {
 public:
  WeightTask(const Conv2dGeometry& g, const WeightPlan& plan, const float* dy, const float* x)
      : g_(g),
        plan_(plan),
        dy_(dy),
        x_(x),
        kernels_(gemm_kernels()),
        panels_(plan.panels_per_range * kernels_.tile_columns * kMaxDepth) {}

  // Sums its slice into its columns of dw.
  void run(int64_t task, float* dw) {
    const int64_t range = task % plan_.column_ranges;
    const int64_t group = task / plan_.column_ranges % g_.groups;
    const int64_t slice = task / (plan_.column_ranges * g_.groups);
    const int64_t first = slice * plan_.blocks.count / plan_.slices;
    const int64_t last = (slice + 1) * plan_.blocks.count / plan_.slices;
    const int64_t k = range * plan_.panels_per_range * kernels_.tile_columns;
    const int64_t columns = std::min(g_.patch() - k, plan_.panels_per_range * kernels_.tile_columns);
    const PatchGrid grid = forward_grid(g_, x_, group);
    for (int64_t block = first; block < last; ++block) {
      const int64_t pixel = plan_.blocks.begin(block), depth = plan_.blocks.size(block);
      conv_kernels().pack_patch_panels(grid, pixel, depth, k, columns, panels_.data());
      add_block(group, pixel, depth, columns, dw + group * g_.group_out() * g_.patch() + k, block > first);
    }
  }

 private:
  // dy serves as columns where it lies: the channels of one pixel are neighbours.
  void add_block(int64_t group, int64_t pixel, int64_t depth, int64_t columns, float* dw, bool accumulate) {
    const int64_t width = kernels_.tile_columns, outputs = g_.group_out();
    const int64_t tiles = (outputs + kernels_.tile_rows - 1) / kernels_.tile_rows;
    const int64_t tile_rows = (outputs + tiles - 1) / tiles;
    for (int64_t o = 0; o < outputs; o += tile_rows) {
      const int64_t rows = std::min(tile_rows, outputs - o);
      float* c[kMaxTileRows];
      for (int64_t r = 0; r < rows; ++r) c[r] = dw + (o + r) * g_.patch();
      for (int64_t column = 0; column < columns; column += width)
        kernels_.by_columns[rows]({.a = dy_ + pixel * g_.o + group * outputs + o,
                                   .b = panels_.data() + column * depth,
                                   .c = c,
                                   .bias = nullptr,
                                   .depth = depth,
                                   .a_stride = g_.o,
                                   .column = column,
                                   .columns = std::min(width, columns - column),
                                   .accumulate = accumulate});
    }
  }

  const Conv2dGeometry& g_;
  const WeightPlan& plan_;
  const float* dy_;
  const float* x_;
  const GemmKernels& kernels_;
  Scratch<float> panels_;
};

void backward_weight(const Conv2dGeometry& g, const float* dy, const float* x, float* dw) {
  const int64_t count = g.o * g.patch();
  if (g.pixels() == 0) return std::fill_n(dw, count, 0.0f), void();
  if (is_depthwise(g)) return depthwise_backward_weight(g, dy, x, dw);
  if (use_winograd(g)) return winograd_backward_weight(g, dy, x, dw);
  const WeightPlan plan(g, gemm_kernels().tile_columns);
  const Scratch<float> partial(plan.slices == 1 ? 0 : plan.slices * count);
  parallel_for(plan.tasks(g), 1, [&](int64_t begin, int64_t end) {
    WeightTask task(g, plan, dy, x);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t slice = i / (plan.column_ranges * g.groups);
      task.run(i, plan.slices == 1 ? dw : partial.data() + slice * count);
    }
  });
  if (plan.slices == 1) return;
  parallel_for(count, 4096, [&](int64_t begin, int64_t end) {
    conv_kernels().sum_rows(partial.data() + begin, count, plan.slices, end - begin, dw + begin);
  });
}

void backward_bias(const Conv2dGeometry& g, const float* dy, float* db) {
  const DepthBlocks blocks(g.pixels());
  const Scratch<float> partial(blocks.count * g.o);
  parallel_for(blocks.count, 4, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block)
      conv_kernels().sum_rows(dy + blocks.begin(block) * g.o, g.o, blocks.size(block), g.o,
                              partial.data() + block * g.o);
  });
  conv_kernels().sum_rows(partial.data(), g.o, blocks.count, g.o, db);
}

}  // namespace

void conv2d_backward_weight(const Conv2dGeometry& g, const Tensor& dy, const Tensor& x, const Tensor& dw) {
  if (dy.dtype() == DType::BF16) return conv2d_backward_weight_bf16(g, dy, x, dw);
  Tensor out = dw;
  if (dy.dtype() == DType::F64)
    reference::conv2d_backward_weight(g, dy.data<double>(), x.data<double>(), out.mutable_data<double>());
  else if (use_reference())
    reference::conv2d_backward_weight(g, dy.data<float>(), x.data<float>(), out.mutable_data<float>());
  else backward_weight(g, dy.data<float>(), x.data<float>(), out.mutable_data<float>());
}

void conv2d_backward_bias(const Conv2dGeometry& g, const Tensor& dy, const Tensor& db) {
  if (dy.dtype() == DType::BF16) return conv2d_backward_bias(g, widened(dy), db);
  Tensor out = db;
  if (dy.dtype() == DType::F64)
    reference::conv2d_backward_bias(g, dy.data<double>(), out.mutable_data<double>());
  else if (use_reference()) reference::conv2d_backward_bias(g, dy.data<float>(), out.mutable_data<float>());
  else backward_bias(g, dy.data<float>(), out.mutable_data<float>());
}

}  // namespace tern::cpu
