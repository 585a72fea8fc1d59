#pragma once
// How convolution walks over an image batch without storing its patches: blocks of image rows are copied once
// with their padding (or read in place where nothing is padded), and the register-blocked kernels of the
// matrix product read the patches of neighbouring outputs from there, one run of floats per row of taps.

#include <algorithm>
#include <cstdint>

#include "tern/cpu/conv2d_kernels.h"
#include "tern/cpu/prefetch.h"
#include "tern/cpu/scratch.h"

namespace tern::cpu {

// All grid rows (n, i) in blocks of at most about `pixels` outputs: some whole images, or rows of one image.
struct RowBlocks {
  RowBlocks(const PatchGrid& grid, int64_t pixels);
  struct Block {
    int64_t n, images, i, rows;  // images * rows grid rows
  };
  Block block(int64_t index) const;

  int64_t images, rows;   // per block, at most
  int64_t per_image = 1;  // blocks
  int64_t count = 0;
  int64_t total_images, total_rows;
};

// A distance for rows of so many floats that does not let neighbours fall into the same cache sets.
inline int64_t spread(int64_t floats) {
  constexpr int64_t kSetConflict = 512, kShift = 16;
  return floats % kSetConflict == 0 ? floats + kShift : floats;
}

// A range of channels of one block at a time.
class PaddedRows {
 public:
  // Whole vectors of pixels are read, up to kOverrun floats more than there are channels; or single floats.
  static constexpr int64_t kOverrun = 64;
  enum class Reads : uint8_t { Floats, Vectors };

  PaddedRows(const PatchGrid& grid, int64_t channels, const RowBlocks& blocks, Reads reads);
  void load(const RowBlocks::Block& block, int64_t first_channel);

  // Asks for what load() of that block will read, in so many steps.
  Prefetch ahead(const RowBlocks::Block& block, int64_t first_channel, int64_t steps) const;

  // The first tap of the patch of output j in grid row r of the block, r = image * rows + i.
  const float* patch(int64_t r, int64_t j) const {
    const int64_t image = r / rows_, i = r % rows_;
    return origin_ + image * image_stride_ + i * grid_.step_h * row_stride_ + j * pixel_step();
  }
  int64_t pixel_step() const { return grid_.step_w * pitch_; }  // from output j to j + 1
  int64_t tap(int64_t p, int64_t q) const {
    return p * grid_.delta_h * row_stride_ + q * grid_.delta_w * pitch_;
  }
  // The patch as runs of neighbouring floats: a whole row of taps, or one tap.
  int64_t runs() const { return joined_ ? grid_.taps_h : grid_.taps_h * grid_.taps_w; }
  int64_t run_length() const { return joined_ ? grid_.taps_w * channels_ : channels_; }
  int64_t run(int64_t index) const {
    return joined_ ? tap(index, 0) : tap(index / grid_.taps_w, index % grid_.taps_w);
  }

 private:
  static int64_t height(const PatchGrid& grid, int64_t rows);  // of the image rows behind them

  const PatchGrid& grid_;
  int64_t channels_, width_, pitch_ = 0;
  bool in_place_, joined_ = false;
  int64_t rows_ = 1, row_stride_ = 0, image_stride_ = 0;
  Scratch<float> data_;
  const float* origin_ = nullptr;
};

// A length cut into equal parts that the register tile can hold.
struct Segments {
  Segments(int64_t length, int64_t most)
      : length(length), count(length == 0 ? 0 : (length + most - 1) / most), paired(2 * length <= most) {}
  int64_t begin(int64_t s) const { return s * length / count; }
  int64_t size(int64_t s) const { return begin(s + 1) - begin(s); }
  int64_t length, count;
  bool paired;  // so short that a tile takes two of them
};

}  // namespace tern::cpu
