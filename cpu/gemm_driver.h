#pragma once
// Runs the tiles of C = A B over packed B in parallel; where A comes from and where C's rows lie is the
// caller's: a matrix, or the patches of an image batch that convolution multiplies without ever storing them.

#include <algorithm>
#include <cstdint>

#include "tern/core/parallel.h"
#include "tern/cpu/gemm.h"

namespace tern::cpu {

// Blocks of C that are computed as one task: columns so that B's block stays in the second-level cache, rows
// so that there are enough tasks. Chosen from sizes only; the bits of C do not depend on it.
struct TaskGrid {
  TaskGrid(int64_t m, const PackedB& b, int tile_rows) {
    constexpr int64_t kCachedFloats = 160 * 1024;
    constexpr int64_t kTasks = 32;
    tiles = (m + tile_rows - 1) / tile_rows;
    const int64_t wide =
        std::max<int64_t>(1, kCachedFloats / (std::max<int64_t>(1, b.blocks.length) * b.width));
    const int64_t column_blocks = (b.panels + wide - 1) / wide;
    panels_per_task = column_blocks == 0 ? 1 : (b.panels + column_blocks - 1) / column_blocks;
    column_tasks = (b.panels + panels_per_task - 1) / panels_per_task;
    tiles_per_task = std::clamp<int64_t>(tiles * column_tasks / kTasks, 1, 32);
    row_tasks = (tiles + tiles_per_task - 1) / tiles_per_task;
  }
  int64_t count() const { return row_tasks * column_tasks; }
  int64_t tiles, panels_per_task, column_tasks, tiles_per_task, row_tasks;
};

// pack(row, rows, k_begin, depth, packed): writes that part of A, by rows or by columns.
// pointers(row, rows, c): sets c[0 .. rows) to the rows of C.
template <bool kByColumns, class Pack, class Pointers>
void run_tiles(int64_t m, const PackedB& b, const float* bias, bool accumulate, Pack&& pack,
               Pointers&& pointers) {
  const GemmKernels& kernels = gemm_kernels();
  const int64_t tile_rows = kernels.tile_rows;
  const TaskGrid grid(m, b, kernels.tile_rows);
  parallel_for(grid.count(), 1, [&](int64_t begin, int64_t end) {
    const Scratch<float> packed(kMaxTileRows * kRowStride);
    float* c[kMaxTileRows];
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first_panel = task / grid.row_tasks * grid.panels_per_task;
      const int64_t last_panel = std::min(b.panels, first_panel + grid.panels_per_task);
      const int64_t first_tile = task % grid.row_tasks * grid.tiles_per_task;
      const int64_t last_tile = std::min(grid.tiles, first_tile + grid.tiles_per_task);
      for (int64_t block = 0; block < b.blocks.count; ++block) {
        const int64_t depth = b.blocks.size(block);
        for (int64_t tile = first_tile; tile < last_tile; ++tile) {
          const int64_t row = tile * tile_rows;
          const int64_t rows = std::min(tile_rows, m - row);
          pack(row, rows, b.blocks.begin(block), depth, packed.data());
          pointers(row, rows, c);
          const TileKernel kernel = (kByColumns ? kernels.by_columns : kernels.by_rows)[rows];
          for (int64_t panel = first_panel; panel < last_panel; ++panel) {
            const int64_t column = panel * b.width;
            kernel({.a = packed.data(),
                    .b = b.panel(block, panel),
                    .c = c,
                    .bias = bias && block == 0 ? bias + column : nullptr,
                    .depth = depth,
                    .a_stride = kernels.column_stride,
                    .column = column,
                    .columns = std::min(b.width, b.n - column),
                    .accumulate = accumulate || block > 0});
          }
        }
      }
    }
  });
}

}  // namespace tern::cpu
