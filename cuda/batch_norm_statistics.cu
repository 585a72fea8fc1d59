// The statistics of batch normalisation: x is read once. A thread adds up to 128 rows in f32, as deviations
// from the mean of its first rows; a block merges its threads, and a second kernel the blocks, in f64: with
// n_i rows of mean m_i and squared deviations q_i,
//     mean = sum n_i m_i / n      q = sum (q_i + n_i (m_i - mean)^2)
// over tiles that the shape alone decides (cuda/columns.cuh).

#include "tern/cuda/batch_norm.cuh"

namespace tern::cu {
namespace {

// Mean, and q into squares, of what the lanes of a block hold, for every lane; rows: of all of them.
template <int kW>
__device__ __forceinline__ void merge_lanes(int width, int lanes, double n, double rows, double (&mean)[kW],
                                            double (&squares)[kW]) {
  double total[kW];
#pragma unroll
  for (int w = 0; w < kW; ++w) total[w] = n * mean[w];
  sum_lanes<kW>(width, lanes, total);
#pragma unroll
  for (int w = 0; w < kW; ++w) {
    total[w] /= rows;
    const double off = mean[w] - total[w];
    squares[w] = n > 0 ? squares[w] + n * off * off : 0;
    mean[w] = total[w];
  }
  sum_lanes<kW>(width, lanes, squares);
}

// part: f64 [row tiles, 2, columns], mean and squared deviations.
template <int kW, class T>
__global__ void __launch_bounds__(kBlock)
    batch_norm_statistics_kernel(ColumnTiles tiles, const T* x, double* part) {
  const ColumnThread<kW> t(tiles);
  float shift[kW] = {}, first[kW] = {}, second[kW] = {};
  int count = 0;
  for (int i = 0; i < tiles.rounds * (kRowGroup / kLoadRows); ++i) {
    const int64_t group = t.row(tiles, i / 2), row = group + i % 2 * kLoadRows;
    const int rows = load_count(t.rows(tiles, group) - i % 2 * kLoadRows);
    if (rows == 0) continue;
    float v[kLoadRows][kW];
    load_rows<kW>(x + row * tiles.columns + t.column, rows, tiles.columns, v);
#pragma unroll
    for (int w = 0; w < kW; ++w) {
      if (count == 0) shift[w] = (v[0][w] + v[1][w] + v[2][w] + v[3][w]) / static_cast<float>(rows);
#pragma unroll
      for (int r = 0; r < kLoadRows; ++r) {
        const float d = r < rows ? v[r][w] - shift[w] : 0.0f;
        first[w] += d;
        second[w] += d * d;
      }
    }
    count += rows;
  }
  double mean[kW], squares[kW];
#pragma unroll
  for (int w = 0; w < kW; ++w) {
    const double n = count > 0 ? count : 1, sum = first[w], own = second[w] - sum * sum / n;
    mean[w] = shift[w] + sum / n;
    squares[w] = own > 0 ? own : own - own;  // 0, but NaN stays NaN
  }
  merge_lanes<kW>(tiles.width, tiles.lanes, count, static_cast<double>(tiles.rows_of(t.tile)), mean, squares);
  if (!t.active || t.lane != 0) return;
  double* to = part + t.tile * 2 * tiles.columns + t.column;
#pragma unroll
  for (int w = 0; w < kW; ++w) {
    to[w] = mean[w];
    to[tiles.columns + w] = squares[w];
  }
}

__global__ void __launch_bounds__(kBlock)
    batch_norm_merge_kernel(ColumnTiles tiles, const double* part, double* statistics) {
  const SumThread t;
  const bool active = t.column < tiles.columns;
  const auto each = [&](auto body) {
    for (int64_t i = active ? t.lane : tiles.row_tiles; i < tiles.row_tiles; i += SumThread::kLanes) {
      const double* from = part + i * 2 * tiles.columns + t.column;
      body(static_cast<double>(tiles.rows_of(i)), from[0], from[tiles.columns]);
    }
  };
  const auto rows = static_cast<double>(tiles.rows);
  double mean[1] = {}, squares[1] = {};
  each([&](double n, double m, double) { mean[0] += n * m; });
  sum_lanes<1>(kSumColumns, SumThread::kLanes, mean);
  mean[0] /= rows;
  each([&](double n, double m, double q) { squares[0] += q + n * (m - mean[0]) * (m - mean[0]); });
  sum_lanes<1>(kSumColumns, SumThread::kLanes, squares);
  if (!active || t.lane != 0) return;
  statistics[t.column] = mean[0];
  statistics[tiles.columns + t.column] = squares[0] / rows;
}

}  // namespace

void batch_norm_statistics(const BatchNormGeometry& g, const Tensor& x, const Tensor& statistics) {
  over_columns(
      g,
      [&]<class T>(T, auto w, const ColumnTiles& tiles) {
        const Tensor part = Tensor::empty({tiles.row_tiles, 2, g.channels}, {DType::F64, x.device()});
        launch("batch_norm_statistics", batch_norm_statistics_kernel<w(), T>, tiles.grid(), dim3(kBlock), 0,
               stream_of(x), tiles, input<T>(x), output<double>(part));
        launch("batch_norm_merge", batch_norm_merge_kernel, sum_grid(g.channels), dim3(kBlock), 0,
               stream_of(x), tiles, input<double>(part), output<double>(statistics));
      },
      x);
}

}  // namespace tern::cu
