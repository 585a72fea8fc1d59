#pragma once
// Products of bf16 matrices on tiles (cpu/tile.h): C[rows, columns] = A[rows, depth] B[depth, columns], f32
// sums.
//
// Four tiles of C, 32 x 32 sums, stay in registers while depth runs; each step of 32 depths loads two tiles
// of A and two of B for four multiplications of 16 cycles, and the loads of eight cycles hide behind them. A
// comes as rows of bf16, depth innermost: packed, or where it lies. B comes as packed panels of 32 columns,
// [step of 32 depths][2 tiles][16 pairs][16 columns][2], zero beyond its edges, so that the panel of a block
// of 512 depths (32 KiB) stays in the first-level cache while the rows of A stream past from the second.
// Blocks of depth after the first go on from sums kept in memory. What leaves: sums + bias, as f32 or bf16.

#include <cstdint>

#include "tern/core/dtype.h"
#include "tern/cpu/conv2d_kernels.h"

namespace tern::cpu {

inline constexpr int64_t kTileBlock = 32;           // rows and columns of C that are computed together
inline constexpr int64_t kTileStep = 32;            // depths of one step
inline constexpr int64_t kTileMaxSteps = 16;        // of a block of depth
inline constexpr int64_t kTilePanelStep = 32 * 32;  // elements of a panel per step

struct TileProduct {
  const bfloat16* a;
  int64_t a_stride;  // bytes from row to row; `rows` rounded up to kTileBlock may be read
  int64_t rows;
  const bfloat16* b;  // first panel
  int64_t panel;      // elements from panel to panel
  int64_t panels, steps;
  float* sums;        // 1024 for every panel and 32 rows, unless first and last
  bool first, last;   // block of depth: start from 0; store the result
  void* const* out;   // row pointers of C
  int64_t column;     // of the first panel in a row of C
  int64_t columns;    // of C from there on that exist
  bool out_bf16;      // else f32
  const float* bias;  // one per column from `column` on, or null
};

// A product whose steps lie scattered: step s multiplies the tiles of A from a + a_at[s] on with the panels
// of B from b + b_at[s] on. C = [rows, columns] f32, blocks of 32 x 32.
struct TileScatter {
  const bfloat16* a;  // per step [rows / 16][512]
  const bfloat16* b;  // per step [columns / 32][1024]
  const int32_t* a_at;
  const int32_t* b_at;
  int64_t steps;
  int64_t rows, columns;  // of C that exist; the tiles are whole
  float* sums;            // [rows / 32][columns / 32][1024], unless first and last
  bool first, last;       // start from 0; store the result
  float* out;             // C, rows ld apart
  int64_t ld;
};

struct TileKernels {
  void (*multiply)(const TileProduct& product);
  void (*multiply_scattered)(const TileScatter& product);
  // A panel of B for `depth` rows from k on, columns <= 32. From f32 rows [depth][ld]; from their transpose
  // [columns][ld]; from bf16 rows.
  void (*pack_rows)(const float* src, int64_t ld, int64_t depth, int64_t columns, bfloat16* panel);
  void (*pack_transposed)(const float* src, int64_t ld, int64_t depth, int64_t columns, bfloat16* panel);
  // `ahead` elements further lies what is packed next: it is asked for while this is packed.
  void (*interleave)(const bfloat16* src, int64_t ld, int64_t depth, int64_t columns, int64_t ahead,
                     bfloat16* panel);
  // A = src^T: rows of A are columns of src[depth][ld]. To packed[rows][stride], zero from depth up to whole
  // steps.
  void (*transpose)(const bfloat16* src, int64_t ld, int64_t depth, int64_t rows, int64_t ahead,
                    bfloat16* packed, int64_t stride);
  // Elements [k, k + depth) of the patches [row, row + rows) to packed[rows][stride], zero from depth up to
  // whole steps.
  void (*gather)(const PatchGridOf<bfloat16>& grid, int64_t row, int64_t rows, int64_t k, int64_t depth,
                 bfloat16* packed, int64_t stride);
};

namespace baseline {
extern const TileKernels tile_table;
}
namespace avx2 {
extern const TileKernels tile_table;
}
namespace avx512 {
extern const TileKernels tile_table;
}
namespace amx {
extern const TileKernels tile_table;
}

}  // namespace tern::cpu
