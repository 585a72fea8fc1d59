#pragma once
// Activations [.., C] cut into blocks for kernels that work channel by channel (batch_norm, prelu). Grids of
// sums follow the shape alone, so the bits of the sums do too.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "tern/core/dtype.h"
#include "tern/core/parallel.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/panel_sizes.h"

namespace tern::cpu {

// A run of rows seen as a matrix of `rows` x `width`: with few or odd channels, `fold` rows lie side by side
// in one, so that vectors are full; column j then holds channel j % channels.
struct Panel {
  int64_t rows, width, fold;
  int64_t element, mask;  // where it starts in the tensor, and in a mask
};

// The folded rows, then the few that are left over.
inline std::vector<Panel> panels_of(int64_t rows, int64_t channels) {
  constexpr int64_t kLanes = 16, kWideEnough = 64, kNeverFold = 256;
  int64_t fold = 1;
  if (channels < kNeverFold && channels > 0) {
    fold = kLanes / std::gcd(channels, kLanes);
    while (fold * channels < kWideEnough) fold *= 2;
  }
  std::vector<Panel> panels;
  const int64_t full = rows / fold, left = rows % fold, width = fold * channels;
  if (full > 0) panels.push_back({full, width, fold, 0, 0});
  if (left > 0) {
    const int64_t mask = (full + kPanelMaskRows - 1) / kPanelMaskRows * width;
    panels.push_back({left, channels, 1, full * width, mask});
  }
  return panels;
}

// Blocks of a panel.
struct PanelGrid {
  int64_t block_rows, row_blocks, column_blocks;
};

inline PanelGrid panel_grid(const Panel& p, int64_t most_row_blocks) {
  constexpr int64_t kElements = 32768;  // of a block
  const int64_t columns = std::min(p.width, kPanelBlock);
  int64_t rows = std::max(kElements / columns, (p.rows + most_row_blocks - 1) / most_row_blocks);
  rows = std::max<int64_t>(1, (rows + kPanelSumRows - 1) / kPanelSumRows) * kPanelSumRows;
  return {rows, (p.rows + rows - 1) / rows, (p.width + kPanelBlock - 1) / kPanelBlock};
}
inline PanelGrid sum_grid(const Panel& p) { return panel_grid(p, 64); }
inline PanelGrid apply_grid(const Panel& p) { return panel_grid(p, p.rows); }

// Where a block lies in its panel.
struct PanelBlock {
  int64_t row, rows, column, columns;
  int64_t row_block;
};

// body(block) over the blocks of a panel, in parallel.
template <class Body>
void for_blocks(const Panel& p, const PanelGrid& grid, const Body& body) {
  parallel_for(grid.row_blocks * grid.column_blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row_block = i / grid.column_blocks, row = row_block * grid.block_rows;
      const int64_t column = i % grid.column_blocks * kPanelBlock;
      body(PanelBlock{.row = row,
                      .rows = std::min(grid.block_rows, p.rows - row),
                      .column = column,
                      .columns = std::min(kPanelBlock, p.width - column),
                      .row_block = row_block});
    }
  });
}

// The constants of each column of a panel, from f(channel).
template <class F>
std::vector<float> columns_of(const Panel& p, int64_t channels, const F& f) {
  std::vector<float> values(static_cast<size_t>(p.width));
  for (int64_t j = 0; j < p.width; ++j)
    values[static_cast<size_t>(j)] =
        static_cast<float>(j < channels ? f(j) : values[static_cast<size_t>(j - channels)]);
  return values;
}

// Runs slow(T{}, P{}) of the naive loops, T the type of the activations and P of the parameters, or
// fast(T{}).
template <class Slow, class Fast>
void by_type(DType dtype, const Slow& slow, const Fast& fast) {
  if (dtype == DType::F64) return slow(double{}, double{});
  if (dtype == DType::BF16) return use_reference() ? slow(bfloat16{}, float{}) : fast(bfloat16{});
  return use_reference() ? slow(float{}, float{}) : fast(float{});
}

}  // namespace tern::cpu
