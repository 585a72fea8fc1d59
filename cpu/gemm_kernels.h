#pragma once
// The register-blocked heart of every product: C[rows, columns] (+)= A[rows, depth] B[depth, columns] on one
// tile.
//
// The tile of C (kMr x kNr floats) stays in vector registers while depth runs; each step loads two vectors of
// B and broadcasts one float of A per row, so there are 2 kMr multiply-adds per kMr + 2 loads. B comes as
// packed panels [depth][kNr], zero-padded to the right. A comes as rows of a fixed stride (kRowStride), or,
// where the matrix is stored with the depth outermost, as columns [depth][column stride]. Fixed strides make
// every address a constant offset from one pointer. Plain structs only: this header is seen by the kernel
// files of every instruction set.

#include <cstdint>

namespace tern::cpu {

// Longest depth of one packed block, and the distance of A's packed rows: 33 cache lines, so that the rows of
// a tile fall into different cache sets.
inline constexpr int64_t kMaxDepth = 512;
inline constexpr int64_t kRowStride = 528;
inline constexpr int kMaxTileRows = 16;

struct TileJob {
  const float* a;     // packed by rows or by columns
  const float* b;     // one packed panel
  float* const* c;    // one pointer per row
  const float* bias;  // one value per column, or null
  int64_t depth;
  int64_t a_stride;  // by columns: distance of A's columns
  int64_t column;    // offset added to every row pointer
  int64_t columns;   // how many columns of the panel are stored
  bool accumulate;   // add to C instead of overwriting it
};

using TileKernel = void (*)(const TileJob& job);

struct GemmKernels {
  int tile_rows;                         // kMr
  int tile_columns;                      // kNr
  int column_stride;                     // distance of A's packed columns
  TileKernel by_rows[kMaxTileRows + 1];  // indexed by the number of rows
  TileKernel by_columns[kMaxTileRows + 1];
  // One panel of B [depth, columns] from rows of distance ld; _transposed: from B^T [columns, depth].
  void (*pack_panel)(const float* src, int64_t ld, int64_t depth, int64_t columns, float* panel);
  void (*pack_panel_transposed)(const float* src, int64_t ld, int64_t depth, int64_t columns, float* panel);
  // A tile of A [rows, depth] by rows; A^T [depth, rows] by columns.
  void (*pack_rows)(const float* src, int64_t ld, int64_t rows, int64_t depth, float* packed);
  void (*pack_columns)(const float* src, int64_t ld, int64_t rows, int64_t depth, float* packed);
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
