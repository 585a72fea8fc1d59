#pragma once
// Products of bf16 matrices on tiles: how C = A B is cut into tasks and blocks of depth (the heart of it:
// cpu/gemm_tile_kernels.h). Where A comes from and where C's rows lie is the caller's.
//
// A task computes some rows and some panels of C. It goes through the depth in blocks; for each it packs its
// rows of A once and multiplies them with all its panels. Where the cuts of the depth lie is a function of
// the depth alone, so the bits of C depend neither on the number of threads nor on how C is cut.

#include <algorithm>
#include <cstdint>

#include "tern/core/parallel.h"
#include "tern/cpu/gemm_tile_kernels.h"
#include "tern/cpu/scratch.h"

namespace tern::cpu {

// Whether bf16 products run on tiles: the active instruction set has them, or a test asks for their twin in
// plain C++. Elsewhere bf16 activations are widened and the f32 kernels take them.
bool use_tiles();
void use_tile_twin_for_test(bool on);
const TileKernels& tile_kernels();

inline int64_t tile_rounded(int64_t n) { return (n + kTileBlock - 1) / kTileBlock * kTileBlock; }

// How a sum of k terms is cut into blocks of at most kTileMaxSteps steps, as equal as possible.
struct TileDepth {
  explicit TileDepth(int64_t k) : k(k) {
    const int64_t steps = std::max<int64_t>(1, (k + kTileStep - 1) / kTileStep);
    count = (steps + kTileMaxSteps - 1) / kTileMaxSteps;
    length = (steps + count - 1) / count * kTileStep;
    count = std::max<int64_t>(1, (k + length - 1) / length);
  }
  int64_t begin(int64_t block) const { return block * length; }
  int64_t size(int64_t block) const { return std::min(length, k - block * length); }
  int64_t steps(int64_t block) const { return (size(block) + kTileStep - 1) / kTileStep; }
  // Elements from row to row of a packed block of A: an odd number of cache lines.
  int64_t stride() const { return length + (length / kTileStep % 2 == 0 ? kTileStep : 0); }

  int64_t k, count, length;
};

// B in panels: [block of depth][panel][step][1024].
class TilePanels {
 public:
  TilePanels(int64_t k, int64_t n)
      : n(n),
        panels((n + kTileBlock - 1) / kTileBlock),
        depth(k),
        data_(std::max<int64_t>(1, depth.count * depth.length * panels * kTileBlock)) {}
  bfloat16* panel(int64_t block, int64_t panel) const {
    return data_.data() +
           (block * depth.length * panels + panel * depth.steps(block) * kTileStep) * kTileBlock;
  }
  // In parallel: part(k, depth, column, columns, panel) writes the panel of that part of B.
  template <class Part>
  void fill(const Part& part) {
    parallel_for(depth.count * panels, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t block = i / panels, p = i % panels, column = p * kTileBlock;
        part(depth.begin(block), depth.size(block), column, std::min(kTileBlock, n - column),
             panel(block, p));
      }
    });
  }

  int64_t n, panels;
  TileDepth depth;

 private:
  Scratch<bfloat16> data_;
};

// Rows of A: packed, or where they lie.
struct TileRows {
  const bfloat16* data;
  int64_t stride;  // elements
};

// Rows and panels of a task: its packed block of A and its sums fit in the second-level cache, and there are
// tasks enough to share out.
struct TileTasks {
  TileTasks(int64_t m, const TilePanels& b) {
    constexpr int64_t kPackedBytes = 128 << 10, kSumsBytes = 768 << 10, kLargeB = 512 << 10;
    const int64_t wanted = b.depth.k * b.n * 2 > kLargeB ? 4 : 16;  // a large B is read once per task
    const int64_t cached = kPackedBytes / (b.depth.stride() * 2);
    rows = std::clamp(tile_rounded((m + wanted - 1) / wanted), kTileBlock, cached / kTileBlock * kTileBlock);
    row_tasks = (m + rows - 1) / rows;
    int64_t most = b.depth.count == 1 ? b.panels : std::max<int64_t>(1, kSumsBytes / (rows * kTileBlock * 4));
    if (row_tasks < 4) most = std::min(most, std::max<int64_t>(1, b.panels * row_tasks / 4));
    const int64_t cuts = (b.panels + most - 1) / most;
    panels = cuts == 0 ? 1 : (b.panels + cuts - 1) / cuts;
    column_tasks = (b.panels + panels - 1) / panels;
  }
  int64_t count() const { return row_tasks * column_tasks; }
  int64_t rows, row_tasks, panels, column_tasks;
};

struct TileOutput {
  bool bf16;          // else f32
  const float* bias;  // or null
};

// pack(row, rows, k, depth, packed, stride) gives those rows of A as TileRows, which it may write to packed;
// rows up to a multiple of 32 may be read. pointers(row, rows, out) sets out[0 .. rows) to the rows of C.
// done(row, rows, column, columns) follows when a task has written that part of C.
inline void nothing_follows(int64_t, int64_t, int64_t, int64_t) {}
template <class Pack, class Pointers, class Done>
void run_tile_product(int64_t m, const TilePanels& b, TileOutput output, const Pack& pack,
                      const Pointers& pointers, const Done& done) {
  if (m == 0 || b.panels == 0) return;
  const TileKernels& kernels = tile_kernels();
  const TileTasks grid(m, b);
  parallel_for(grid.count(), 1, [&](int64_t begin, int64_t end) {
    const Scratch<bfloat16> packed(grid.rows * b.depth.stride());
    const Scratch<float> sums(b.depth.count == 1 ? 1 : grid.rows * grid.panels * kTileBlock);
    const Scratch<void*> out(grid.rows);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first = task / grid.row_tasks * grid.panels, row = task % grid.row_tasks * grid.rows;
      const int64_t rows = std::min(grid.rows, m - row), column = first * kTileBlock;
      pointers(row, rows, out.data());
      for (int64_t block = 0; block < b.depth.count; ++block) {
        const TileRows a =
            pack(row, rows, b.depth.begin(block), b.depth.size(block), packed.data(), b.depth.stride());
        const bfloat16* panel = b.panel(block, first);
        kernels.multiply({.a = a.data,
                          .a_stride = a.stride * static_cast<int64_t>(sizeof(bfloat16)),
                          .rows = rows,
                          .b = panel,
                          .panel = b.depth.steps(block) * kTilePanelStep,
                          .panels = std::min(grid.panels, b.panels - first),
                          .steps = b.depth.steps(block),
                          .sums = sums.data(),
                          .first = block == 0,
                          .last = block + 1 == b.depth.count,
                          .out = out.data(),
                          .column = column,
                          .columns = b.n - column,
                          .out_bf16 = output.bf16,
                          .bias = output.bias ? output.bias + column : nullptr});
      }
      done(row, rows, column, std::min(grid.panels * kTileBlock, b.n - column));
    }
  });
}

}  // namespace tern::cpu
