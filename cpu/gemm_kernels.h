#pragma once
// The register-blocked heart of every product: C[rows, columns] (+)= A[rows, depth] B[depth, columns] on one
// tile.
//
// The tile of C (kMr x kNr floats, v vectors wide) stays in vector registers while depth runs; each step
// loads v vectors of B and broadcasts one float of A per row: v kMr multiply-adds per kMr + v loads. A is
// read where it lies: its rows at one distance (by rows: a packed block, or neighbouring pixels of an image),
// or its columns (by columns: a matrix stored with the depth outermost). The lower half of its rows may lie
// elsewhere, and the depth may come in runs, each somewhere else: that is how convolution walks over the rows
// of an image without ever storing its patches.
//
// By rows, B streams in packed panels from the second-level cache, so the tile is tall (14 x 32 with
// AVX-512): B is read once for many rows. By columns, A and B lie side by side and are short; there the wide
// tile (6 x 64) takes fewer loads and instructions a multiply-add, and needs no copy of either.
//
// Plain structs only: this header is seen by the kernel files of every instruction set.

#include <cstdint>

#include "tern/ops/activation.h"

namespace tern::cpu {

// Longest depth of one block of a matrix, and the distance of A's packed rows: 33 cache lines, so that the
// rows of a tile fall into different cache sets.
inline constexpr int64_t kMaxDepth = 512;
inline constexpr int64_t kRowStride = 528;
inline constexpr int kMaxTileRows = 16;

struct TileJob {
  const float* a;
  const float* a_second = nullptr;  // of the last rows / 2 rows; null: they follow the others
  int64_t a_stride;                 // by rows: distance of A's rows; by columns: of its columns
  const float* b;                   // by rows: one packed panel
  int64_t b_stride = 0;             // by columns: distance of B's rows
  int64_t depth;                    // of a run
  int64_t runs = 1;
  const int64_t* a_run = nullptr;  // where the runs begin in A; null: one run at 0
  const int64_t* b_run = nullptr;  // by columns: and in B
  float* const* c;                 // one pointer per row
  float* const* c_next = nullptr;  // of the tile that comes next: its cache lines are asked for; may be null
  const float* bias = nullptr;     // one value per column, or null
  const float* slope = nullptr;    // of PReLU, one value per column
  Activation activation = Activation::None;  // applied to what is stored
  int64_t column = 0;                        // offset added to every row pointer
  int64_t columns;                           // how many columns of the panel are stored
  bool accumulate = false;                   // add to C instead of overwriting it
};

using TileKernel = void (*)(const TileJob& job);

// The kernels of one shape of tile.
struct RegisterTile {
  int rows;                          // kMr
  int narrow_rows;                   // of a tile that is at most half as wide
  int columns;                       // kNr
  TileKernel run[kMaxTileRows + 1];  // indexed by the number of rows

  TileKernel operator[](int64_t count) const { return run[count]; }
  int64_t rows_for(int64_t width) const { return 2 * width > columns ? rows : narrow_rows; }
};

struct GemmKernels {
  RegisterTile by_rows, by_columns;
  // One panel of B [depth, columns] from rows of distance ld; _transposed: from B^T [columns, depth].
  void (*pack_panel)(const float* src, int64_t ld, int64_t depth, int64_t columns, float* panel);
  void (*pack_panel_transposed)(const float* src, int64_t ld, int64_t depth, int64_t columns, float* panel);
  // A tile of A [rows, depth], at most by_rows.rows of them, to rows of kRowStride; _transposed: from A^T
  // [depth, rows].
  void (*pack_rows)(const float* src, int64_t ld, int64_t rows, int64_t depth, float* packed);
  void (*pack_rows_transposed)(const float* src, int64_t ld, int64_t rows, int64_t depth, float* packed);
};

const GemmKernels& gemm_kernels();  // of the active instruction set

namespace baseline {
extern const GemmKernels gemm_table;
}
namespace avx2 {
extern const GemmKernels gemm_table;
}
namespace avx512 {
extern const GemmKernels gemm_table;
}

}  // namespace tern::cpu
