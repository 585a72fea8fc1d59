#include "tern/cpu/gemm.h"

#include <unistd.h>

#include <algorithm>

#include "tern/cpu/isa.h"
#include "tern/cpu/reference/matmul.h"

namespace tern::cpu {

const GemmKernels& gemm_kernels() {
  return isa_pick(
      []() -> auto& { return baseline::gemm_table; }, []() -> auto& { return avx2::gemm_table; },
      []() -> auto& { return avx512::gemm_table; });
}

DepthBlocks::DepthBlocks(int64_t k, int64_t most) : k(k) {
  constexpr int64_t kRound = 16;
  count = std::max<int64_t>(1, (k + most - 1) / std::max<int64_t>(1, most));
  length = ((k + count - 1) / count + kRound - 1) / kRound * kRound;
  count = std::max<int64_t>(1, length == 0 ? 1 : (k + length - 1) / length);
}

PackedB::PackedB(int64_t k, int64_t n, int64_t most_depth)
    : n(n),
      width(gemm_kernels().by_rows.columns),
      panels((n + width - 1) / width),
      blocks(k, most_depth),
      data_(k * panels * width) {}

void PackedB::pack(const float* b, int64_t ldb, bool transposed) {
  const GemmKernels& kernels = gemm_kernels();
  fill([&](int64_t k, int64_t depth, int64_t column, int64_t columns, float* panel) {
    if (transposed) kernels.pack_panel_transposed(b + column * ldb + k, ldb, depth, columns, panel);
    else kernels.pack_panel(b + k * ldb + column, ldb, depth, columns, panel);
  });
}

int64_t second_level_cache() {
  static const int64_t floats = [] {
    constexpr int64_t kLeast = 1 << 20, kMost = 2 << 20;
    int64_t bytes = 0;
#ifdef _SC_LEVEL2_CACHE_SIZE
    bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    return std::clamp(bytes, kLeast, kMost) / static_cast<int64_t>(sizeof(float));
  }();
  return floats;
}

PanelRanges::PanelRanges(const PackedB& b, int64_t depth, double share, int64_t least) : panels(b.panels) {
  const auto cached = static_cast<int64_t>(static_cast<double>(second_level_cache()) * share);
  const int64_t most = std::max<int64_t>(1, cached / std::max<int64_t>(1, depth * b.width));
  const int64_t ranges = std::max((panels + most - 1) / most, std::min(panels, least));
  if (ranges == 0) return;
  length = (panels + ranges - 1) / ranges;
  count = (panels + length - 1) / length;
}

void gemm(const GemmProblem& problem) {
  GemmProblem p = problem;
  // An empty matrix may come as a null pointer, to which no offset may be added.
  static const float nothing = 0;
  if (!p.a) p.a = &nothing;
  if (!p.b) p.b = &nothing;
  if (p.lda == 0) p.lda = p.transpose_a ? p.m : p.k;
  if (p.ldb == 0) p.ldb = p.transpose_b ? p.k : p.n;
  if (p.ldc == 0) p.ldc = p.n;
  if (p.m == 0 || p.n == 0) return;
  if (use_reference()) {
    return reference::matmul<float>({.m = p.m,
                                     .n = p.n,
                                     .k = p.k,
                                     .a = p.a,
                                     .a_row = p.transpose_a ? 1 : p.lda,
                                     .a_column = p.transpose_a ? p.lda : 1,
                                     .b = p.b,
                                     .b_row = p.transpose_b ? 1 : p.ldb,
                                     .b_column = p.transpose_b ? p.ldb : 1,
                                     .c = p.c,
                                     .ldc = p.ldc,
                                     .bias = p.bias,
                                     .accumulate = p.accumulate});
  }
  PackedB b(p.k, p.n);
  b.pack(p.b, p.ldb, p.transpose_b);
  gemm(p, b);
}

namespace {

// Blocks of C that are computed as one task: columns so that B's block stays in the second-level cache, rows
// so that there are enough tasks. The bits of C do not depend on it.
struct TaskGrid {
  TaskGrid(int64_t m, const PackedB& b, int64_t tile_rows)
      : columns(b, b.blocks.length, kCacheShare), tiles((m + tile_rows - 1) / tile_rows) {
    constexpr int64_t kTasks = 32;
    tiles_per_task = std::clamp<int64_t>(tiles * columns.count / kTasks, 1, 32);
    row_tasks = (tiles + tiles_per_task - 1) / tiles_per_task;
  }
  int64_t count() const { return row_tasks * columns.count; }
  static constexpr double kCacheShare = 0.625;
  PanelRanges columns;
  int64_t tiles, tiles_per_task, row_tasks;
};

// The tasks of one thread.
class GemmTask {
 public:
  GemmTask(const GemmProblem& p, const PackedB& b, const TaskGrid& grid)
      : p_(p), b_(b), grid_(grid), packed_(kMaxTileRows * kRowStride) {}

  void run(int64_t task) {
    first_panel_ = grid_.columns.begin(task / grid_.row_tasks);
    last_panel_ = grid_.columns.end(task / grid_.row_tasks);
    const int64_t first = task % grid_.row_tasks * grid_.tiles_per_task;
    const int64_t last = std::min(grid_.tiles, first + grid_.tiles_per_task);
    for (int64_t block = 0; block < b_.blocks.count; ++block)
      for (int64_t tile = first; tile < last; ++tile)
        run_tile(tile, block, tile + 1 < last ? tile + 1 : first);
  }

 private:
  int64_t rows_of(int64_t tile) const { return std::min(tile_rows_, p_.m - tile * tile_rows_); }
  void set_rows(int64_t tile, float** c) const {
    for (int64_t r = 0; r < rows_of(tile); ++r) c[r] = p_.c + (tile * tile_rows_ + r) * p_.ldc;
  }

  void pack(int64_t tile, int64_t block) {
    const int64_t row = tile * tile_rows_, k = b_.blocks.begin(block), depth = b_.blocks.size(block);
    if (p_.transpose_a)
      kernels_.pack_rows_transposed(p_.a + k * p_.lda + row, p_.lda, rows_of(tile), depth, packed_.data());
    else kernels_.pack_rows(p_.a + row * p_.lda + k, p_.lda, rows_of(tile), depth, packed_.data());
  }
  void run_tile(int64_t tile, int64_t block, int64_t next_tile) {
    float *c[kMaxTileRows], *c_next[kMaxTileRows];
    const int64_t rows = rows_of(tile);
    pack(tile, block);
    set_rows(tile, c);
    set_rows(next_tile, c_next);
    const TileKernel kernel = kernels_.by_rows[rows];
    for (int64_t panel = first_panel_; panel < last_panel_; ++panel) {
      const int64_t column = panel * b_.width;
      kernel({.a = packed_.data(),
              .a_stride = kRowStride,
              .b = b_.panel(block, panel),
              .depth = b_.blocks.size(block),
              .c = c,
              .c_next = rows_of(next_tile) == rows ? c_next : nullptr,
              .bias = p_.bias && block == 0 ? p_.bias + column : nullptr,
              .column = column,
              .columns = std::min(b_.width, b_.n - column),
              .accumulate = p_.accumulate || block > 0});
    }
  }

  const GemmProblem& p_;
  const PackedB& b_;
  const TaskGrid& grid_;
  const GemmKernels& kernels_ = gemm_kernels();
  const int64_t tile_rows_ = kernels_.by_rows.rows;
  Scratch<float> packed_;
  int64_t first_panel_ = 0, last_panel_ = 0;
};

}  // namespace

void gemm(const GemmProblem& problem, const PackedB& b) {
  GemmProblem p = problem;
  if (p.lda == 0) p.lda = p.transpose_a ? p.m : p.k;
  if (p.ldc == 0) p.ldc = p.n;
  const TaskGrid grid(p.m, b, gemm_kernels().by_rows.rows);
  parallel_for(grid.count(), 1, [&](int64_t begin, int64_t end) {
    GemmTask task(p, b, grid);
    for (int64_t i = begin; i < end; ++i) task.run(i);
  });
}

}  // namespace tern::cpu
