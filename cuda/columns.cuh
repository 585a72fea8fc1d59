#pragma once
// Blocks over a row-major matrix [rows, columns] of activations in which something is done for each column:
// channels are the last axis, so these are the shapes of batch normalisation and of sums over positions.
//
//   column   a thread keeps kW neighbouring columns, one 16-byte access, for all its rows: constants and sums
//   of a
//            column stay in registers
//   width    threads side by side, at most 64: 1 KiB of a row
//   lanes    of kRowGroup rows each, one below the other: kBlock / width
//   rounds   of lanes that a block goes through; at most 16, so that f32 sums have at most 128 terms
//
// All of it is a function of the shape, and so is the order of every sum: rows in order within a thread, then
// a tree over the lanes, then a tree over the blocks.

#include "tern/cuda/vector_access.cuh"

namespace tern::cu {

inline constexpr int kRowGroup = 8;         // neighbouring rows of a thread
inline constexpr int kLoadRows = 4;         // of them, whose loads are in flight together
inline constexpr int kColumnWidth = 64;     // threads side by side in a block
inline constexpr int kSumColumns = 8;       // columns of a block that adds up what blocks left
inline constexpr int64_t kFullGrid = 1024;  // blocks beyond which a block takes more rounds

struct ColumnTiles {
  int64_t rows, columns;
  int width, lanes, rounds;
  int64_t column_tiles, row_tiles;

  HD int64_t tile_rows() const { return int64_t{kRowGroup} * lanes * rounds; }
  HD int64_t rows_of(int64_t tile) const {
    return rows - tile * tile_rows() < tile_rows() ? rows - tile * tile_rows() : tile_rows();
  }
  dim3 grid() const { return dim3(static_cast<unsigned>(column_tiles * row_tiles)); }
};

inline ColumnTiles make_column_tiles(int64_t rows, int64_t columns, int per_thread) {
  const auto up = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
  ColumnTiles t{rows, columns, 1, kBlock, 1, 0, 0};
  if (rows == 0 || columns == 0) return t;
  const int64_t vectors = columns / per_thread;
  t.column_tiles = up(vectors, kColumnWidth);
  t.width = static_cast<int>(up(vectors, t.column_tiles));
  t.lanes = kBlock / t.width;
  const int64_t blocks = up(rows, int64_t{kRowGroup} * t.lanes) * t.column_tiles;
  t.rounds = static_cast<int>(blocks < kFullGrid ? 1 : blocks < 16 * kFullGrid ? blocks / kFullGrid : 16);
  t.row_tiles = up(rows, t.tile_rows());
  return t;
}

// Which columns and rows a thread has. Threads that have none still take part in barriers.
template <int kW>
struct ColumnThread {
  __device__ __forceinline__ explicit ColumnThread(const ColumnTiles& t)
      : x(static_cast<int>(threadIdx.x) % t.width), lane(static_cast<int>(threadIdx.x) / t.width) {
    tile = blockIdx.x / t.column_tiles;
    first_column = (blockIdx.x - tile * t.column_tiles) * t.width * kW;
    column = first_column + x * kW;
    columns = static_cast<int>(t.columns - first_column < int64_t{t.width} * kW ? t.columns - first_column
                                                                                : int64_t{t.width} * kW);
    active = lane < t.lanes && column < t.columns;
  }
  // The first row of the thread's group in a round.
  __device__ __forceinline__ int64_t row(const ColumnTiles& t, int round) const {
    return tile * t.tile_rows() + (int64_t{round} * t.lanes + lane) * kRowGroup;
  }
  // How many rows of that group there are.
  __device__ __forceinline__ int rows(const ColumnTiles& t, int64_t row) const {
    const int64_t left = active ? t.rows - row : 0;
    return left < 0 ? 0 : left < kRowGroup ? static_cast<int>(left) : kRowGroup;
  }
  int x, lane, columns;  // columns: of the block
  int64_t tile, first_column, column;
  bool active;
};

template <int kW, class T>
__device__ __forceinline__ void load_columns(const T* p, float (&v)[kW]) {
  if constexpr (kW == 1) v[0] = load_float(p);
  else load_vector(p, v);
}
template <int kW, class T>
__device__ __forceinline__ void store_columns(T* p, const float (&v)[kW]) {
  if constexpr (kW == 1) store_float(p, v[0]);
  else store_vector(p, v);
}
// How many of `left` rows are loaded together.
__device__ __forceinline__ int load_count(int left) {
  return left < 0 ? 0 : left < kLoadRows ? left : kLoadRows;
}
// Some neighbouring rows; those beyond the last are 0.
template <int kW, class T>
__device__ __forceinline__ void load_rows(const T* p, int rows, int64_t stride, float (&v)[kLoadRows][kW]) {
#pragma unroll
  for (int r = 0; r < kLoadRows; ++r) {
#pragma unroll
    for (int w = 0; w < kW; ++w) v[r][w] = 0;
    if (r < rows) load_columns<kW>(p + r * stride, v[r]);
  }
}
template <int kW, class T>
__device__ __forceinline__ void store_rows(T* p, int rows, int64_t stride, const float (&v)[kLoadRows][kW]) {
#pragma unroll
  for (int r = 0; r < kLoadRows; ++r)
    if (r < rows) store_columns<kW>(p + r * stride, v[r]);
}

// Sums over the lanes of a block, by halves; every thread of a column gets the result. Threads beyond width x
// lanes give what is not read.
template <int kW>
__device__ __forceinline__ void sum_lanes(int width, int lanes, double (&v)[kW]) {
  __shared__ double part[kW][kBlock];
  const int i = static_cast<int>(threadIdx.x), lane = i / width;
  __syncthreads();
#pragma unroll
  for (int w = 0; w < kW; ++w) part[w][i] = v[w];
  int half = 1;
  while (half < lanes) half *= 2;
  for (half /= 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane < half && lane + half < lanes) {
#pragma unroll
      for (int w = 0; w < kW; ++w) part[w][i] += part[w][i + half * width];
    }
  }
  __syncthreads();
#pragma unroll
  for (int w = 0; w < kW; ++w) v[w] = part[w][i % width];
}

// The second stage of a sum over tiles: kSumColumns columns and kBlock / kSumColumns lanes a block.
struct SumThread {
  static constexpr int kLanes = kBlock / kSumColumns;
  int64_t column =
      static_cast<int64_t>(blockIdx.x) * kSumColumns + static_cast<int>(threadIdx.x) % kSumColumns;
  int lane = static_cast<int>(threadIdx.x) / kSumColumns;
};
inline dim3 sum_grid(int64_t columns) {
  return dim3(static_cast<unsigned>((columns + kSumColumns - 1) / kSumColumns));
}

}  // namespace tern::cu
