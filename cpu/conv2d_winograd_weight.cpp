// The weight gradient by Winograd's transform: tiles of x and of dy are evaluated, multiplied and summed over
// the tiles, 36 products of matrices, and the sums interpolated to 3x3 gradients.

#include <algorithm>

#include "tern/core/parallel.h"
#include "tern/cpu/conv2d_rows.h"
#include "tern/cpu/conv2d_winograd.h"
#include "tern/cpu/conv2d_winograd_tiles.h"
#include "tern/cpu/scratch.h"

namespace tern::cpu {
namespace {

// Steps of the weight gradient over one range of tiles: sums [component][o][c] of products of dy and x tiles.
class WeightSums {
 public:
  explicit WeightSums(const Conv2dGeometry& g)
      : g_(g),
        conv_(forward_conv(g)),
        width_(gemm_kernels().by_columns.columns),
        panels_((g.c + width_ - 1) / width_),
        capacity_(std::min(kTiles, conv_.tiles())),
        dy_row_(g.o + kCacheShift),
        x_component_(panels_ * width_ * capacity_ + 3 * kCacheShift),
        dy_component_(dy_row_ * capacity_ + 3 * kCacheShift),
        rows_(g.o, gemm_kernels().by_columns.rows_for(g.c)),
        x_(kComponents * x_component_),
        dy_(kComponents * dy_component_),
        sums_(in_one_go() ? 0 : kComponents * g.o * g.c) {}

  void run(const float* dy, const float* x, float* dw) {
    if (in_one_go()) {
      transform(dy, x, 0, conv_.tiles());
      return multiply_and_finish(dw);
    }
    for (int64_t first = 0; first < conv_.tiles(); first += kTiles) {
      const int64_t count = std::min(kTiles, conv_.tiles() - first);
      transform(dy, x, first, count);
      multiply(count, first > 0);
    }
    parallel_for(g_.o, 1, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o)
        winograd_kernels().gradient(sums_.data() + o * g_.c, g_.o * g_.c, g_.c, g_.c, dw + o * 9 * g_.c);
    });
  }

 private:
  // A range of tiles: what it is transformed to stays in the second-level caches, and its sums are short.
  static constexpr int64_t kTiles = 64;

  // x to panels [component][panel][tile][kNr], dy to [component][tile][o]. With many channels the rows of x
  // would lie on a page each.
  void transform(const float* dy, const float* x, int64_t first, int64_t count) {
    const WinogradKernels& kernels = winograd_kernels();
    const ComponentLayout x_layout{x_component_, width_, width_ * capacity_};
    const ComponentLayout dy_layout{dy_component_, dy_row_, width_};
    parallel_for(count, 4, [&](int64_t begin, int64_t end) {
      kernels.patches(conv_.in_grid(), x, first + begin, end - begin, x_layout, x_.data() + begin * width_);
      kernels.tiles(conv_.out_grid(), dy, first + begin, end - begin, dy_layout,
                    dy_.data() + begin * dy_row_);
    });
  }

  // The sums of component k, output channels of row tile t and the panel's input channels, to c's rows.
  void multiply_rows(int64_t k, int64_t panel, int64_t t, int64_t count, float* const* c, int64_t column,
                     bool accumulate) {
    multiply_tile(gemm_kernels().by_columns[rows_.size(t)],
                  {.a = dy_.data() + k * dy_component_ + rows_.begin(t),
                   .a_stride = dy_row_,
                   .b = x_.data() + k * x_component_ + panel * width_ * capacity_,
                   .b_stride = width_,
                   .depth = count,
                   .c = c,
                   .column = column,
                   .columns = std::min(width_, g_.c - panel * width_),
                   .accumulate = accumulate},
                  dy_row_, width_);
  }

  void multiply(int64_t count, bool accumulate) {
    parallel_for(kComponents * panels_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t t = 0; t < rows_.count; ++t) {
          float* c[kMaxTileRows];
          for (int64_t r = 0; r < rows_.size(t); ++r)
            c[r] = sums_.data() + (i / panels_ * g_.o + rows_.begin(t) + r) * g_.c;
          multiply_rows(i / panels_, i % panels_, t, count, c, i % panels_ * width_, accumulate);
        }
    });
  }

  // Few tiles for many channels: the sums would be larger than what they are made of. All 36 of a few output
  // channels and a panel are made and used in the second-level cache.
  bool in_one_go() const { return conv_.tiles() <= kTiles; }
  void multiply_and_finish(float* dw) {
    // Row tiles whose dy stays in the second-level cache while the panels pass.
    const int64_t tile_rows = gemm_kernels().by_columns.rows_for(g_.c), kGroup = 28 / tile_rows;
    parallel_for((rows_.count + kGroup - 1) / kGroup, 1, [&](int64_t begin, int64_t end) {
      const Scratch<float> sums(kComponents * tile_rows * width_);
      for (int64_t i = begin * panels_; i < end * panels_; ++i) {
        const int64_t first = i / panels_ * kGroup, panel = i % panels_;
        for (int64_t t = first; t < std::min(rows_.count, first + kGroup); ++t) {
          for (int64_t k = 0; k < kComponents; ++k) {
            float* c[kMaxTileRows];
            for (int64_t r = 0; r < rows_.size(t); ++r) c[r] = sums.data() + (k * tile_rows + r) * width_;
            multiply_rows(k, panel, t, conv_.tiles(), c, 0, false);
          }
          for (int64_t r = 0; r < rows_.size(t); ++r)
            winograd_kernels().gradient(sums.data() + r * width_, tile_rows * width_,
                                        std::min(width_, g_.c - panel * width_), g_.c,
                                        dw + (rows_.begin(t) + r) * 9 * g_.c + panel * width_);
        }
      }
    });
  }

  const Conv2dGeometry& g_;
  TiledConv conv_;
  int64_t width_, panels_, capacity_, dy_row_, x_component_, dy_component_;
  Segments rows_;  // output channels in tiles
  Scratch<float> x_, dy_, sums_;
};

}  // namespace

void winograd_backward_weight(const Conv2dGeometry& g, const float* dy, const float* x, float* dw) {
  WeightSums(g).run(dy, x, dw);
}

}  // namespace tern::cpu
