// The weight gradient on tiles: dw[o,p,q,:] = sum over pixels (i,j) and images of dy[.,i,j,o] x[.,h,v,:].
//
// A step of 32 depths is 32 images at one pixel (fewer are filled up with zeros): then every tap of an output
// pixel meets the same step of dy, and each pixel of x is brought into the form of B once, whatever the
// number of taps that read it. dy is transposed to [pixel][32 images][outputs], x interleaved to [pixel][16
// pairs of images][channels][2], for a band of output pixels whose steps fit in the second-level cache; rows
// of x stay in a ring while the bands move down. For each tap the list of pixels that it reaches inside of
// the image is multiplied, so that padding costs nothing. With few channels (the stem) a row of taps is taken
// as one tap with kW C channels.

#include <algorithm>
#include <vector>

#include "tern/cpu/conv2d_grids.h"
#include "tern/cpu/conv2d_tile.h"
#include "tern/cpu/gemm_tile.h"

namespace tern::cpu {
namespace {

constexpr int64_t kImages = kTileStep;

int64_t blocks_of(int64_t n, int64_t length) { return (n + length - 1) / length; }

// How the sum is cut: into bands of `rows` x `columns` output pixels of 32 `steps` images, and into tasks,
// each of some outputs of a group and a slice of the bands. Slices are added in order; all of it depends on
// sizes only.
struct WeightCut {
  explicit WeightCut(const Conv2dGeometry& g)
      : joined(g.kw > 1 && g.dilation.w == 1 && g.groups == 1 && g.c < kTileBlock / 2),
        taps_w(joined ? 1 : g.kw),
        channels(joined ? g.kw * g.c : g.group_in()),
        panels(blocks_of(channels, kTileBlock)),
        steps(blocks_of(g.n, kImages)) {
    constexpr int64_t kBandBytes = 1280 << 10, kSumsBytes = 640 << 10, kOutputs = 128, kEnoughTasks = 8;
    outputs = std::min(g.group_out(), kOutputs);
    const int64_t x_bytes = panels * kTilePanelStep * 2, dy_bytes = tile_rounded(outputs) * 64;
    const auto fits = [&](int64_t r, int64_t c) {
      return steps * (ring(g, r) * positions(g, c) * x_bytes + r * c * dy_bytes) <= kBandBytes;
    };
    rows = 1, columns = g.out_w;
    while (steps > 2 && !fits(1, columns)) steps = (steps + 1) / 2;
    for (int64_t parts = 2; columns > 1 && !fits(1, columns); ++parts) columns = blocks_of(g.out_w, parts);
    while (steps > 1 && !fits(1, 1)) steps = (steps + 1) / 2;
    while (columns == g.out_w && rows < g.out_h && fits(rows + 1, columns)) ++rows;
    bands = blocks_of(g.out_h, rows);
    chunks = blocks_of(g.n, steps * kImages);
    if (chunks * bands > 1 || columns < g.out_w)
      outputs = std::min(
          outputs,
          std::max(kTileBlock, kSumsBytes / (g.kh * taps_w * panels * kTilePanelStep * 4) * kTileBlock));
    ranges = blocks_of(g.group_out(), outputs);
    slices = std::min(chunks * bands, blocks_of(kEnoughTasks, ranges * g.groups));
  }
  // Rows of x that `r` output rows read, and places in a row that `c` output columns read.
  int64_t ring(const Conv2dGeometry& g, int64_t r) const {
    return std::min(g.h, (r - 1) * g.stride.h + (g.kh - 1) * g.dilation.h + 1);
  }
  int64_t positions(const Conv2dGeometry& g, int64_t c) const {
    return joined ? c : (c - 1) * g.stride.w + (g.kw - 1) * g.dilation.w + 1;
  }
  int64_t tasks(const Conv2dGeometry& g) const { return slices * g.groups * ranges; }

  bool joined;
  int64_t taps_w, channels, panels, steps;
  int64_t outputs, rows, columns, bands, chunks, ranges, slices;
};

// A 1x1 convolution knows no neighbours: its pixels are taken as images of one pixel, which fill whole steps.
Conv2dGeometry flattened(Conv2dGeometry g) {
  if (g.patch() != g.group_in() || !(g.stride == Size2(1)) || !(g.padding == Size2(0))) return g;
  g.n = g.pixels();
  g.h = g.w = g.out_h = g.out_w = 1;
  return g;
}

class TileWeightTask {
 public:
  TileWeightTask(const Conv2dGeometry& g, const WeightCut& cut, const bfloat16* dy, const bfloat16* x)
      : g_(g),
        cut_(cut),
        dy_(dy),
        x_(x),
        ring_(cut.ring(g, cut.rows)),
        places_(cut.positions(g, cut.columns)),
        x_step_(cut.panels * kTilePanelStep),
        dy_step_(tile_rounded(cut.outputs) * kTileStep),
        turned_(cut.rows * cut.columns * cut.steps * dy_step_),
        paired_(ring_ * places_ * cut.steps * x_step_),
        sums_(g.kh * cut.taps_w * dy_step_ / kTileStep * cut.panels * kTileBlock),
        padded_(cut.joined ? kImages * padded_row() : 1) {}

  void run(int64_t task, float* dw) {
    const int64_t range = task % cut_.ranges, slice = task / (cut_.ranges * g_.groups);
    group_ = task / cut_.ranges % g_.groups;
    output_ = range * cut_.outputs;
    outputs_ = std::min(cut_.outputs, g_.group_out() - output_);
    dw_ = dw + (group_ * g_.group_out() + output_) * g_.patch();
    const int64_t units = cut_.chunks * cut_.bands;
    const int64_t first = slice * units / cut_.slices, last = (slice + 1) * units / cut_.slices;
    for (int64_t j = 0; j < g_.out_w; j += cut_.columns) {
      const int64_t columns = std::min(cut_.columns, g_.out_w - j);
      for (int64_t unit = first; unit < last; ++unit) {
        const int64_t row = unit % cut_.bands * cut_.rows;
        if (unit == first || row == 0) row_ = 0;
        image_ = unit / cut_.bands * cut_.steps * kImages;
        steps_ = std::min(cut_.steps, blocks_of(g_.n - image_, kImages));
        add_band(row, std::min(cut_.rows, g_.out_h - row), j, columns, unit == first && j == 0,
                 unit + 1 == last && j + columns == g_.out_w);
      }
    }
  }

 private:
  int64_t padded_row() const { return (g_.w + 2 * g_.padding.w) * g_.c + cut_.panels * kTileBlock; }
  int64_t input_row(int64_t i, int64_t p) const { return i * g_.stride.h + p * g_.dilation.h - g_.padding.h; }

  void add_band(int64_t i0, int64_t rows, int64_t j0, int64_t columns, bool first, bool last) {
    row_ = std::max({row_, input_row(i0, 0), int64_t{0}});
    for (; row_ < std::min(g_.h, input_row(i0 + rows - 1, g_.kh - 1) + 1); ++row_)
      pair_row(row_, j0, columns);
    for (int64_t i = 0; i < rows; ++i) turn_row(i0 + i, i, j0, columns);
    const int64_t block = dy_step_ / kTileStep * cut_.panels * kTileBlock;
    for (int64_t tap = 0; tap < g_.kh * cut_.taps_w; ++tap) {
      list_steps(tap / cut_.taps_w, tap % cut_.taps_w, i0, rows, j0, columns);
      tile_kernels().multiply_scattered({.a = turned_.data(),
                                         .b = paired_.data(),
                                         .a_at = dy_at_.data(),
                                         .b_at = x_at_.data(),
                                         .steps = static_cast<int64_t>(dy_at_.size()),
                                         .rows = outputs_,
                                         .columns = cut_.channels,
                                         .sums = sums_.data() + tap * block,
                                         .first = first,
                                         .last = last,
                                         .out = dw_ + tap * cut_.channels,
                                         .ld = g_.patch()});
    }
  }

  // Row h of x into its place in the ring.
  void pair_row(int64_t h, int64_t j0, int64_t columns) {
    const int64_t start = j0 * g_.stride.w - g_.padding.w, image = g_.h * g_.w * g_.c;
    for (int64_t step = 0; step < steps_; ++step) {
      const int64_t n = image_ + step * kImages, images = std::min(kImages, g_.n - n);
      const bfloat16* row = x_ + (n * g_.h + h) * g_.w * g_.c + group_ * g_.group_in();
      if (cut_.joined) pad_rows(row, images);
      for (int64_t place = 0; place < cut_.positions(g_, columns); ++place) {
        bfloat16* to = paired_.data() + ((h % ring_ * places_ + place) * cut_.steps + step) * x_step_;
        if (cut_.joined)
          interleave(padded_.data() + (j0 + place) * g_.stride.w * g_.c, padded_row(), images,
                     cut_.panels * kTileBlock, to);
        else if (start + place >= 0 && start + place < g_.w)
          interleave(row + (start + place) * g_.c, image, images, cut_.channels, to);
      }
    }
  }

  // The next place of the row, or, where a row is one pixel, the next images.
  int64_t ahead(int64_t row, int64_t pixel) const { return row == pixel ? kImages * pixel : pixel; }

  void interleave(const bfloat16* from, int64_t ld, int64_t images, int64_t channels, bfloat16* to) const {
    const int64_t next = cut_.joined ? g_.c : ahead(ld, g_.c);
    for (int64_t c = 0; c < channels; c += kTileBlock, to += kTilePanelStep)
      tile_kernels().interleave(from + c, ld, images, std::min(kTileBlock, channels - c), next, to);
  }

  // One row of each image between its padding.
  void pad_rows(const bfloat16* row, int64_t images) {
    const int64_t left = g_.padding.w * g_.c, length = g_.w * g_.c;
    for (int64_t n = 0; n < images; ++n, row += g_.h * length) {
      bfloat16* to = padded_.data() + n * padded_row();
      std::fill_n(to, left, bfloat16());
      std::copy_n(row, length, to + left);
      std::fill(to + left + length, to + padded_row(), bfloat16());
    }
  }

  // Row i of dy, row `at` of the band.
  void turn_row(int64_t i, int64_t at, int64_t j0, int64_t columns) {
    for (int64_t j = 0; j < columns; ++j)
      for (int64_t step = 0; step < steps_; ++step) {
        const int64_t n = image_ + step * kImages;
        const bfloat16* from =
            dy_ + ((n * g_.out_h + i) * g_.out_w + j0 + j) * g_.o + group_ * g_.group_out() + output_;
        tile_kernels().transpose(from, g_.out_h * g_.out_w * g_.o, std::min(kImages, g_.n - n), outputs_,
                                 ahead(g_.out_h * g_.out_w * g_.o, g_.o),
                                 turned_.data() + ((at * cut_.columns + j) * cut_.steps + step) * dy_step_,
                                 kTileStep);
      }
  }

  // The pixels of the band that tap (p, q) reads inside of the image.
  void list_steps(int64_t p, int64_t q, int64_t i0, int64_t rows, int64_t j0, int64_t columns) {
    dy_at_.clear(), x_at_.clear();
    const int64_t start = j0 * g_.stride.w - g_.padding.w;
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t h = input_row(i0 + i, p);
      if (h < 0 || h >= g_.h) continue;
      for (int64_t j = 0; j < columns; ++j) {
        const int64_t place = cut_.joined ? j : j * g_.stride.w + q * g_.dilation.w;
        if (!cut_.joined && (start + place < 0 || start + place >= g_.w)) continue;
        for (int64_t step = 0; step < steps_; ++step) {
          dy_at_.push_back(static_cast<int32_t>(((i * cut_.columns + j) * cut_.steps + step) * dy_step_));
          x_at_.push_back(
              static_cast<int32_t>(((h % ring_ * places_ + place) * cut_.steps + step) * x_step_));
        }
      }
    }
  }

  const Conv2dGeometry& g_;
  const WeightCut& cut_;
  const bfloat16* dy_;
  const bfloat16* x_;
  int64_t ring_, places_, x_step_, dy_step_;
  Scratch<bfloat16> turned_, paired_;
  Scratch<float> sums_;
  Scratch<bfloat16> padded_;
  std::vector<int32_t> dy_at_, x_at_;
  // Of the task: its group and outputs, its part of dw. Of the band: its first image, its steps, and the next
  // row of x that is not in the ring.
  int64_t group_ = 0, output_ = 0, outputs_ = 0, image_ = 0, steps_ = 0, row_ = 0;
  float* dw_ = nullptr;
};

}  // namespace

void conv2d_backward_weight_tiles(const Conv2dGeometry& given, const bfloat16* dy, const bfloat16* x,
                                  float* dw) {
  const Conv2dGeometry g = flattened(given);
  const int64_t count = g.o * g.patch();
  if (g.pixels() == 0) return std::fill_n(dw, count, 0.0f), void();
  const WeightCut cut(g);
  const Scratch<float> partial(cut.slices == 1 ? 1 : cut.slices * count);
  parallel_for(cut.tasks(g), 1, [&](int64_t begin, int64_t end) {
    TileWeightTask task(g, cut, dy, x);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t slice = i / (cut.ranges * g.groups);
      task.run(i, cut.slices == 1 ? dw : partial.data() + slice * count);
    }
  });
  if (cut.slices == 1) return;
  parallel_for(count, 4096, [&](int64_t begin, int64_t end) {
    conv_kernels().sum_rows(partial.data() + begin, count, cut.slices, end - begin, dw + begin);
  });
}

}  // namespace tern::cpu
