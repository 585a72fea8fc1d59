// Reductions along an axis (ops/reduce.h). Sums run in f64: a thread adds its elements in order, then the
// threads of a group meet in a tree, then the tiles of a long axis are added. Tiles depend on the shape
// alone.

#include "tern/ops/reduce.h"

#include <algorithm>

#include "tern/cuda/columns.cuh"
#include "tern/cuda/rows.cuh"

namespace tern::cu {
namespace {

constexpr int64_t kRowTile = 8192;   // elements of a contiguous axis that a block adds
constexpr int64_t kColumnRows = 32;  // rows that a thread adds of another axis

// ---- sums ----

// A row of the [rows, n] matrix, or a tile of it, to a group of threads.
template <int kThreads, class T>
__global__ void __launch_bounds__(kBlock)
    row_sum_kernel(const T* x, int64_t rows, int64_t n, int64_t tiles, bool vectors, double* sums) {
  constexpr int kEach = kPerVector<T>;
  const RowThread<kThreads> t;
  if (t.row >= rows * tiles) return;  // a whole group
  const int64_t row = t.row / tiles, begin = (t.row - row * tiles) * kRowTile;
  const int64_t count = n - begin < kRowTile ? n - begin : kRowTile;
  x += row * n + begin;
  double sum = 0;
  const int64_t whole = vectors ? count / kEach : 0;
  for (int64_t v = t.lane; v < whole; v += kThreads) {
    float values[kEach];
    load_vector(x + v * kEach, values);
#pragma unroll
    for (int e = 0; e < kEach; ++e) sum += static_cast<double>(values[e]);
  }
  for (int64_t i = whole * kEach + t.lane; i < count; i += kThreads)
    sum += static_cast<double>(load_float(x + i));
  sum = row_sum<kThreads>(sum);
  if (t.lane == 0) sums[t.row] = sum;
}

// Columns of [outer, n, inner]: blocks of a tile of rows and width x kW columns; sums [outer, tiles, inner].
struct ColumnSums {
  int64_t n, inner, column_tiles, tiles;
  int width, lanes;
};
template <int kW, class T>
__global__ void __launch_bounds__(kBlock) column_sum_kernel(ColumnSums g, const T* x, double* sums) {
  const int64_t column_tile = blockIdx.x % g.column_tiles, above = blockIdx.x / g.column_tiles;
  const int64_t tile = above % g.tiles, outer = above / g.tiles;
  const int lane = static_cast<int>(threadIdx.x) / g.width;
  const int64_t column = (column_tile * g.width + static_cast<int>(threadIdx.x) % g.width) * kW;
  const bool active = lane < g.lanes && column < g.inner;
  const int64_t tile_rows = g.lanes * kColumnRows, begin = tile * tile_rows;
  const int64_t end = begin + tile_rows < g.n ? begin + tile_rows : g.n;
  double sum[kW] = {};
  if (active) {
#pragma unroll 4
    for (int64_t r = begin + lane; r < end; r += g.lanes) {
      float v[kW];
      load_columns<kW>(x + (outer * g.n + r) * g.inner + column, v);
#pragma unroll
      for (int w = 0; w < kW; ++w) sum[w] += static_cast<double>(v[w]);
    }
  }
  sum_lanes<kW>(g.width, g.lanes, sum);
  if (!active || lane != 0) return;
#pragma unroll
  for (int w = 0; w < kW; ++w) sums[(outer * g.tiles + tile) * g.inner + column + w] = sum[w];
}

// Adds the tiles of each sum, scales and rounds once: a warp a sum.
template <class T>
__global__ void __launch_bounds__(kBlock)
    finish_sum_kernel(const double* sums, int64_t outer, int64_t tiles, int64_t inner, double scale, T* y) {
  const RowThread<kWarp> t;
  if (t.row >= outer * inner) return;
  const int64_t o = t.row / inner, k = t.row - o * inner;
  double sum = 0;
  for (int64_t i = t.lane; i < tiles; i += kWarp) sum += sums[(o * tiles + i) * inner + k];
  sum = warp_sum(sum);
  if (t.lane == 0) store_float(y + t.row, static_cast<float>(sum * scale));
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
dim3 grid_of_blocks(int64_t blocks) { return dim3(static_cast<unsigned>(blocks)); }

template <class T>
void sum_columns(const ReduceGeometry& g, const Tensor& x, double scale, const Tensor& y) {
  const bool vectors = g.inner % kPerVector<T> == 0 && aligned_to_vector(input<T>(x));
  const int64_t across = vectors ? g.inner / kPerVector<T> : g.inner;
  ColumnSums c{g.n, g.inner, ceil_div(across, kColumnWidth), 1, 1, kBlock};
  c.width = static_cast<int>(ceil_div(across, c.column_tiles));
  c.lanes = kBlock / c.width;
  c.tiles = std::max<int64_t>(1, ceil_div(g.n, c.lanes * kColumnRows));
  const Tensor sums = Tensor::empty({g.outer, c.tiles, g.inner}, {DType::F64, x.device()});
  const auto kernel = vectors ? column_sum_kernel<kPerVector<T>, T> : column_sum_kernel<1, T>;
  launch("column_sum", kernel, grid_of_blocks(g.outer * c.tiles * c.column_tiles), dim3(kBlock), 0,
         stream_of(x), c, input<T>(x), output<double>(sums));
  launch("finish_sum", finish_sum_kernel<T>, grid_of_blocks(ceil_div(g.outer * g.inner, kBlock / kWarp)),
         dim3(kBlock), 0, stream_of(x), input<double>(sums), g.outer, c.tiles, g.inner, scale, output<T>(y));
}

template <class T>
void sum_rows(const ReduceGeometry& g, const Tensor& x, double scale, const Tensor& y) {
  const int64_t tiles = std::max<int64_t>(1, ceil_div(g.n, kRowTile));
  const bool vectors = (g.outer == 1 || g.n % kPerVector<T> == 0) && aligned_to_vector(input<T>(x));
  const Tensor sums = Tensor::empty({g.outer, tiles}, {DType::F64, x.device()});
  for_row_group(g.outer * tiles, g.n, [&](auto threads, dim3 grid) {
    launch("row_sum", row_sum_kernel<threads(), T>, grid, dim3(kBlock), 0, stream_of(x), input<T>(x), g.outer,
           g.n, tiles, vectors, output<double>(sums));
  });
  launch("finish_sum", finish_sum_kernel<T>, grid_of_blocks(ceil_div(g.outer, kBlock / kWarp)), dim3(kBlock),
         0, stream_of(x), input<double>(sums), g.outer, tiles, int64_t{1}, scale, output<T>(y));
}

// ---- extremes ----

// A value and where it was found. NaN beats numbers; of equals the lower index wins.
struct Found {
  float value;
  int64_t index;  // -1: nothing yet
};
__device__ __forceinline__ Found better(Found a, Found b, bool max) {
  if (b.index < 0) return a;
  if (a.index < 0) return b;
  const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
  if (a_nan || b_nan) return a_nan && (!b_nan || a.index < b.index) ? a : b;
  if (a.value == b.value) return a.index < b.index ? a : b;
  return (a.value > b.value) == max ? a : b;
}
__device__ __forceinline__ Found warp_better(Found mine, bool max) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const Found other{__shfl_xor_sync(kFullMask, mine.value, distance),
                      __shfl_xor_sync(kFullMask, mine.index, distance)};
    mine = better(mine, other, max);
  }
  return mine;
}

// Rows of [rows, n]: a block each.
template <class T>
__global__ void __launch_bounds__(kBlock)
    row_extreme_kernel(const T* x, int64_t n, bool max, T* y, int64_t* index) {
  constexpr int kWarps = kBlock / kWarp;
  __shared__ float values[kWarps];
  __shared__ int64_t indices[kWarps];
  const int64_t row = blockIdx.x;
  const int i = static_cast<int>(threadIdx.x), lane = i % kWarp;
  Found best{0, -1};
  for (int64_t k = i; k < n; k += kBlock) best = better(best, {load_float(x + row * n + k), k}, max);
  best = warp_better(best, max);
  if (lane == 0) {
    values[i / kWarp] = best.value;
    indices[i / kWarp] = best.index;
  }
  __syncthreads();
  if (i >= kWarp) return;
  best = warp_better(lane < kWarps ? Found{values[lane], indices[lane]} : Found{0, -1}, max);
  if (i != 0) return;
  store_float(y + row, best.value);
  index[row] = best.index;
}

// Columns of [outer, n, inner], inner > 1: a thread each.
template <class T>
__global__ void __launch_bounds__(kBlock)
    column_extreme_kernel(ReduceGeometry g, const T* x, bool max, T* y, int64_t* index) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < g.outer * g.inner;
       i += step) {
    const int64_t o = i / g.inner, k = i - o * g.inner;
    Found best{0, -1};
    for (int64_t r = 0; r < g.n; ++r)
      best = better(best, {load_float(x + (o * g.n + r) * g.inner + k), r}, max);
    store_float(y + i, best.value);
    index[i] = best.index;
  }
}

// ---- gradients: one thread an element of dx ----

// body(i, row of the reduced axis, element of dy)
template <class Body>
__device__ __forceinline__ void for_spread(const ReduceGeometry& g, const Body& body) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x, n = g.outer * g.n * g.inner;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) {
    const int64_t row = i / g.inner, o = row / g.n;
    body(i, row - o * g.n, o * g.inner + i - row * g.inner);
  }
}
template <class T>
__global__ void __launch_bounds__(kBlock) expand_kernel(ReduceGeometry g, const T* dy, float scale, T* dx) {
  for_spread(g, [&](int64_t i, int64_t, int64_t at) { store_float(dx + i, load_float(dy + at) * scale); });
}
template <class T>
__global__ void __launch_bounds__(kBlock)
    scatter_kernel(ReduceGeometry g, const T* dy, const int64_t* index, T* dx) {
  for_spread(g, [&](int64_t i, int64_t row, int64_t at) {
    store_float(dx + i, index[at] == row ? load_float(dy + at) : 0.0f);
  });
}

}  // namespace

void sum_axis(const ReduceGeometry& g, const Tensor& x, double scale, const Tensor& y) {
  if (y.numel() == 0) return;
  on_activation("sum", x.dtype(), [&]<class T>(T) {
    if (g.inner == 1) sum_rows<T>(g, x, scale, y);
    else sum_columns<T>(g, x, scale, y);
  });
}

void expand_axis(const ReduceGeometry& g, const Tensor& dy, double scale, const Tensor& dx) {
  on_activation("sum", dy.dtype(), [&]<class T>(T) {
    launch("expand", expand_kernel<T>, blocks_for(dx.numel()), dim3(kBlock), 0, stream_of(dy), g,
           input<T>(dy), static_cast<float>(scale), output<T>(dx));
  });
}

void extreme_axis(const ReduceGeometry& g, Extreme which, const Tensor& x, const Tensor& y,
                  const Tensor& index) {
  const bool max = which == Extreme::Max;
  on_activation("max", x.dtype(), [&]<class T>(T) {
    if (g.inner == 1)
      launch("row_extreme", row_extreme_kernel<T>, grid_of_blocks(g.outer), dim3(kBlock), 0, stream_of(x),
             input<T>(x), g.n, max, output<T>(y), output<int64_t>(index));
    else
      launch("column_extreme", column_extreme_kernel<T>, blocks_for(g.outer * g.inner), dim3(kBlock), 0,
             stream_of(x), g, input<T>(x), max, output<T>(y), output<int64_t>(index));
  });
}

void scatter_axis(const ReduceGeometry& g, const Tensor& dy, const Tensor& index, const Tensor& dx) {
  on_activation("max", dy.dtype(), [&]<class T>(T) {
    launch("scatter", scatter_kernel<T>, blocks_for(dx.numel()), dim3(kBlock), 0, stream_of(dy), g,
           input<T>(dy), input<int64_t>(index), output<T>(dx));
  });
}

}  // namespace tern::cu
