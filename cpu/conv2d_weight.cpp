// The weight gradient, summed over all output pixels; and the bias gradient. dw = dy^T patches(x): the
// columns of both matrices lie side by side, pixel after pixel, so the register tile reads both where they
// are, its depth the pixels of one output row after another. Only rows of x that need padding are copied
// (cpu/conv2d_rows.h):
//
//   for each block of input channels, for each slice of the image rows          (tasks, in parallel)
//     for each block of pixels                   copy its rows of x with padding
//       for each tap, for each panel of kNr input channels     x: the right-hand side, in the first-level
//       cache
//         for each tile of output channels                     dy: columns, the second-level cache
//           dw[tile, tap, panel] += the sum over the block
//
// With few input channels (the first layer) the roles are exchanged: patches of x are the columns and dy is
// the right-hand side, so that the panels are full. The slices are summed in order; how the sum is cut
// depends on sizes only.

#include <algorithm>

#include "tern/core/parallel.h"
#include "tern/cpu/bf16.h"
#include "tern/cpu/conv2d_grids.h"
#include "tern/cpu/conv2d_rows.h"
#include "tern/cpu/conv2d_tile.h"
#include "tern/cpu/conv2d_winograd.h"
#include "tern/cpu/gemm.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/reference/conv2d.h"

namespace tern::cpu {
namespace {

struct WeightPlan {
  explicit WeightPlan(const Conv2dGeometry& g)
      : grid(reshaped(forward_grid<float>(g, nullptr, 0))),
        blocks(grid, g.kh * g.kw == 1 ? kPixels : kPixelsOfTaps),
        from_patches(g.group_in() < kFewChannels) {
    constexpr int64_t kTasks = 12, kCachedFloats = 96 * 1024;
    const int64_t cached = kCachedFloats / (g.group_out() * g.kh * g.kw) / kChannels * kChannels;
    channels = from_patches ? g.group_in() : std::min(g.group_in(), std::max(kChannels, cached));
    channel_blocks = from_patches ? 1 : (g.group_in() + channels - 1) / channels;
    const int64_t tasks = channel_blocks * g.groups;
    slices = std::clamp<int64_t>((kTasks + tasks - 1) / tasks, 1, std::max<int64_t>(1, blocks.count));
  }
  static constexpr int64_t kPixels = 64, kPixelsOfTaps = 256, kChannels = 64, kFewChannels = 32;

  PatchGrid grid;  // of the first group, without an image
  RowBlocks blocks;
  bool from_patches;
  int64_t channels, channel_blocks, slices;  // channels: of a block; their sums stay in a cache
};

// The slices of one thread.
class WeightTask {
 public:
  WeightTask(const Conv2dGeometry& g, const WeightPlan& plan, const float* dy, const float* x)
      : g_(g),
        plan_(plan),
        dy_(dy),
        grid_(with_image(plan.grid, x)),
        padded_(grid_, plan.channels, plan.blocks,
                plan.from_patches ? PaddedRows::Reads::Floats : PaddedRows::Reads::Vectors),
        x_runs_(plan.blocks.images * plan.blocks.rows),
        dy_runs_(plan.blocks.images * plan.blocks.rows),
        copies_dy_(plan.from_patches && g.group_out() % kWidestVector != 0),
        dy_ld_(copies_dy_ ? (g.group_out() + kWidestTile - 1) / kWidestTile * kWidestTile + kShift : g.o),
        dy_block_(copies_dy_ ? plan.blocks.images * plan.blocks.rows * grid_.columns * dy_ld_ : 0) {}

  // Sums the blocks of the slice into dw, which is [o, patch] or, from patches, [group, patch, outputs].
  void run(int64_t slice, int64_t group, int64_t channel_block, float* dw) {
    const int64_t first = slice * plan_.blocks.count / plan_.slices;
    const int64_t last = (slice + 1) * plan_.blocks.count / plan_.slices;
    const int64_t channel = channel_block * plan_.channels;
    for (int64_t i = first; i < last; ++i) {
      const RowBlocks::Block block = plan_.blocks.block(i);
      padded_.load(block, group * g_.group_in() + channel);
      rows_ = block.images * block.rows;
      dy_rows_ = dy_of(block, group);
      if (copies_dy_) copy_dy();
      x_ahead_ = dy_ahead_ = {};
      if (i + 1 < last) {
        const RowBlocks::Block next = plan_.blocks.block(i + 1);
        x_ahead_ = padded_.ahead(next, group * g_.group_in() + channel, calls());
        dy_ahead_ = Prefetch(dy_of(next, group), next.images * next.rows * grid_.columns, g_.group_out(),
                             g_.o, calls());
      }
      for (int64_t r = 0; r < rows_; ++r) {
        x_runs_.data()[r] = padded_.patch(r, 0) - padded_.patch(0, 0);
        dy_runs_.data()[r] = r * grid_.columns * dy_ld_;
      }
      if (plan_.from_patches) add_from_patches(dw + group * g_.patch() * g_.group_out(), i > first);
      else add_by_taps(channel, dw + group * g_.group_out() * g_.patch() + channel, i > first);
    }
  }

 private:
  static PatchGrid with_image(PatchGrid grid, const float* x) {
    grid.image = x;
    return grid;
  }
  const float* dy_of(const RowBlocks::Block& block, int64_t group) const {
    return dy_ + (block.n * grid_.rows + block.i) * grid_.columns * g_.o + group * g_.group_out();
  }
  // The right-hand side is read in whole vectors: rows that end elsewhere are copied to whole panels, of a
  // distance that spreads them over the cache sets.
  static constexpr int64_t kWidestVector = 16, kWidestTile = 64, kShift = 16;
  void copy_dy() {
    const int64_t outputs = g_.group_out();
    for (int64_t pixel = 0; pixel < rows_ * grid_.columns; ++pixel) {
      float* to = dy_block_.data() + pixel * dy_ld_;
      std::copy_n(dy_rows_ + pixel * g_.o, outputs, to);
      std::fill_n(to + outputs, dy_ld_ - outputs, 0.0f);
    }
    dy_rows_ = dy_block_.data();
  }
  // Of the kernel for one block, about: what is asked for ahead is spread over them.
  int64_t calls() const {
    const RegisterTile& k = gemm_kernels().by_columns;
    return std::max<int64_t>(1, (g_.group_out() + k.rows - 1) / k.rows * g_.kh * g_.kw *
                                    ((plan_.channels + k.columns - 1) / k.columns));
  }
  void step_ahead() {
    x_ahead_.step();
    dy_ahead_.step();
  }

  void add_by_taps(int64_t channel, float* dw, bool accumulate) {
    const RegisterTile& kernels = gemm_kernels().by_columns;
    const int64_t channels = std::min(plan_.channels, g_.group_in() - channel);
    const Segments tiles(g_.group_out(), kernels.rows_for(channels));
    for (int64_t tap = 0; tap < g_.kh * g_.kw; ++tap)
      for (int64_t c0 = 0; c0 < channels; c0 += kernels.columns)
        for (int64_t t = 0; t < tiles.count; ++t) {
          const int64_t o = tiles.begin(t), size = tiles.size(t);
          float* c[kMaxTileRows];
          for (int64_t r = 0; r < size; ++r) c[r] = dw + (o + r) * g_.patch() + tap * g_.group_in() + c0;
          step_ahead();
          kernels[size]({.a = dy_rows_ + o,
                         .a_stride = dy_ld_,
                         .b = padded_.patch(0, 0) + padded_.tap(tap / g_.kw, tap % g_.kw) + c0,
                         .b_stride = padded_.pixel_step(),
                         .depth = grid_.columns,
                         .runs = rows_,
                         .a_run = dy_runs_.data(),
                         .b_run = x_runs_.data(),
                         .c = c,
                         .columns = std::min<int64_t>(kernels.columns, channels - c0),
                         .accumulate = accumulate});
        }
  }

  void add_from_patches(float* dw, bool accumulate) {
    const RegisterTile& kernels = gemm_kernels().by_columns;
    const int64_t width = kernels.columns, outputs = g_.group_out();
    const int64_t length = padded_.run_length();
    const Segments segments(length, kernels.rows_for(outputs));
    const int64_t per_tile = segments.paired ? 2 : 1;
    for (int64_t column = 0; column < outputs; column += width)
      for (int64_t run = 0; run < padded_.runs(); run += per_tile)
        for (int64_t s = 0; s < segments.count; ++s) {
          const int64_t used = std::min(per_tile, padded_.runs() - run), size = segments.size(s);
          const float* a = padded_.patch(0, 0) + segments.begin(s);
          float* c[kMaxTileRows];
          for (int64_t r = 0; r < used * size; ++r)
            c[r] = dw + (run * length + segments.begin(s) + r) * outputs + column;
          step_ahead();
          kernels[used * size]({.a = a + padded_.run(run),
                                .a_second = used == 2 ? a + padded_.run(run + 1) : nullptr,
                                .a_stride = padded_.pixel_step(),
                                .b = dy_rows_ + column,
                                .b_stride = dy_ld_,
                                .depth = grid_.columns,
                                .runs = rows_,
                                .a_run = x_runs_.data(),
                                .b_run = dy_runs_.data(),
                                .c = c,
                                .columns = std::min(width, outputs - column),
                                .accumulate = accumulate});
        }
  }

  const Conv2dGeometry& g_;
  const WeightPlan& plan_;
  const float* dy_;
  PatchGrid grid_;
  int64_t rows_ = 0;
  PaddedRows padded_;
  Prefetch x_ahead_, dy_ahead_;
  Scratch<int64_t> x_runs_, dy_runs_;
  bool copies_dy_;
  int64_t dy_ld_;
  Scratch<float> dy_block_;
  const float* dy_rows_ = nullptr;  // of the block
};

// [group, patch, outputs] to [group, outputs, patch].
void transpose_groups(const Conv2dGeometry& g, const float* from, float* dw) {
  const int64_t patch = g.patch(), outputs = g.group_out();
  for (int64_t group = 0; group < g.groups; ++group, from += patch * outputs, dw += patch * outputs)
    for (int64_t o = 0; o < outputs; ++o)
      for (int64_t k = 0; k < patch; ++k) dw[o * patch + k] = from[k * outputs + o];
}

void backward_weight(const Conv2dGeometry& g, const float* dy, const float* x, float* dw) {
  const int64_t count = g.o * g.patch();
  if (g.pixels() == 0) return std::fill_n(dw, count, 0.0f), void();
  if (is_depthwise(g)) return depthwise_backward_weight(g, dy, x, dw);
  if (use_winograd(g)) return winograd_backward_weight(g, dy, x, dw);
  const WeightPlan plan(g);
  const int64_t per_slice = plan.channel_blocks * g.groups;
  const bool direct = plan.slices == 1 && !plan.from_patches;
  const Scratch<float> partial(direct ? 0 : (plan.slices + 1) * count);
  parallel_for(plan.slices * per_slice, 1, [&](int64_t begin, int64_t end) {
    WeightTask task(g, plan, dy, x);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t slice = i / per_slice, part = i % per_slice;
      task.run(slice, part / plan.channel_blocks, part % plan.channel_blocks,
               direct ? dw : partial.data() + slice * count);
    }
  });
  if (direct) return;
  float* sum = plan.from_patches ? partial.data() + plan.slices * count : dw;
  parallel_for(count, 4096, [&](int64_t begin, int64_t end) {
    conv_kernels().sum_rows(partial.data() + begin, count, plan.slices, end - begin, sum + begin);
  });
  if (plan.from_patches) transpose_groups(g, sum, dw);
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
