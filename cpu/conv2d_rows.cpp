#include "tern/cpu/conv2d_rows.h"

#include "tern/cpu/conv2d_kernels.h"

namespace tern::cpu {
namespace {

// Nothing to pad, and no pixel distance that lets neighbouring pixels fall into the same cache sets.
bool readable_in_place(const PatchGrid& g) {
  const auto inside = [](int64_t start, int64_t positions, int64_t step, int64_t taps, int64_t delta,
                         int64_t size) {
    return start >= 0 && start + (positions - 1) * step + (taps - 1) * delta < size;
  };
  return g.taps_h * g.taps_w > 0 && spread(g.pixel) == g.pixel &&
         inside(g.start_h, g.rows, g.step_h, g.taps_h, g.delta_h, g.h) &&
         inside(g.start_w, g.columns, g.step_w, g.taps_w, g.delta_w, g.w);
}

int64_t pitch_of(const PatchGrid& g, int64_t channels, bool in_place) {
  if (in_place) return g.pixel;
  return spread(channels);
}

constexpr int64_t kWidestVector = 16;  // floats

}  // namespace

RowBlocks::RowBlocks(const PatchGrid& grid, int64_t pixels)
    : images(1), rows(grid.rows), total_images(grid.images), total_rows(grid.rows) {
  if (grid.count() == 0) return;
  if (grid.rows * grid.columns <= pixels) {
    images = std::min(grid.images, pixels / (grid.rows * grid.columns));
    count = (grid.images + images - 1) / images;
    return;
  }
  const int64_t most = std::max<int64_t>(1, pixels / grid.columns);
  per_image = (grid.rows + most - 1) / most;
  rows = (grid.rows + per_image - 1) / per_image;
  per_image = (grid.rows + rows - 1) / rows;
  count = grid.images * per_image;
}

RowBlocks::Block RowBlocks::block(int64_t index) const {
  if (per_image == 1 && rows == total_rows) {
    const int64_t n = index * images;
    return {n, std::min(images, total_images - n), 0, rows};
  }
  const int64_t i = index % per_image * rows;
  return {index / per_image, 1, i, std::min(rows, total_rows - i)};
}

PaddedRows::PaddedRows(const PatchGrid& grid, int64_t channels, const RowBlocks& blocks, Reads reads)
    : grid_(grid),
      channels_(channels),
      width_((grid.columns - 1) * grid.step_w + std::max<int64_t>(0, grid.taps_w - 1) * grid.delta_w + 1),
      in_place_(readable_in_place(grid) && (reads == Reads::Floats || grid.channels % kWidestVector == 0)),
      data_(in_place_ ? 0
                      : blocks.images * height(grid, blocks.rows) * width_ * pitch_of(grid, channels, false) +
                            kOverrun) {
  pitch_ = pitch_of(grid, channels, in_place_);
  joined_ = grid.delta_w == 1 && pitch_ == channels;
  row_stride_ = (in_place_ ? grid.w : width_) * pitch_;
}

int64_t PaddedRows::height(const PatchGrid& grid, int64_t rows) {
  return (rows - 1) * grid.step_h + std::max<int64_t>(0, grid.taps_h - 1) * grid.delta_h + 1;
}

void PaddedRows::load(const RowBlocks::Block& block, int64_t first_channel) {
  const int64_t h = block.i * grid_.step_h + grid_.start_h;
  const float* image = grid_.image + first_channel;
  rows_ = block.rows;
  if (in_place_) {
    image_stride_ = grid_.h * grid_.w * grid_.pixel;
    origin_ = image + ((block.n * grid_.h + h) * grid_.w + grid_.start_w) * grid_.pixel;
    return;
  }
  // The last range of a group may be shorter: what lies beyond its channels is not ours to read.
  const int64_t channels = std::min(channels_, grid_.channels - first_channel % grid_.channels);
  const int64_t rows = height(grid_, block.rows);
  image_stride_ = rows * row_stride_;
  origin_ = data_.data();
  if (grid_.taps_h * grid_.taps_w == 0) return;  // never read
  for (int64_t n = 0; n < block.images; ++n)
    conv_kernels().pad_rows(grid_, image, block.n + n, h, rows, {channels, pitch_, width_},
                            data_.data() + n * image_stride_);
}

Prefetch PaddedRows::ahead(const RowBlocks::Block& block, int64_t first_channel, int64_t steps) const {
  const int64_t first = std::max<int64_t>(0, block.i * grid_.step_h + grid_.start_h);
  const int64_t last = std::min(grid_.h, block.i * grid_.step_h + grid_.start_h + height(grid_, block.rows));
  const int64_t rows = (block.images - 1) * grid_.h + last - first;  // of several images all
  return {grid_.image + (block.n * grid_.h + first) * grid_.w * grid_.pixel + first_channel, rows * grid_.w,
          channels_, grid_.pixel, steps};
}

}  // namespace tern::cpu
