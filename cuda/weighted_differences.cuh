#pragma once
// out_i = sum_j w(i,j) (x_i - y_j), i < n, j < m: the gradient of everything that depends on distances.
// Differences come first, so that near pairs with large weights cancel nothing.
//
// W has a type Value, float or double, and Value operator()(int64_t i, int64_t j). Sums over j ascend: in f64
// for double, with every product rounded; for float in f32 over kDepth values of j, these sums in f64.

#include <type_traits>

#include "tern/cuda/kernel.h"
#include "tern/ops/mining_formulas.h"

namespace tern::cu {

// A block makes kRows x kColumns of out; a thread kEach rows of one column.
struct DifferenceTile {
  static constexpr int kRows = 16, kColumns = 64, kDepth = 32, kEach = kRows * kColumns / kBlock;
};

template <class W>
__global__ void __launch_bounds__(kBlock, 1)
    weighted_differences_kernel(W w, const float* x, const float* y, int64_t n, int64_t m, int64_t d,
                                float* out) {
  using Tile = DifferenceTile;
  using Value = typename W::Value;
  __shared__ Value weights[Tile::kRows][Tile::kDepth];
  __shared__ float others[Tile::kDepth][Tile::kColumns];
  const int tid = static_cast<int>(threadIdx.x), column = tid % Tile::kColumns, group = tid / Tile::kColumns;
  const int64_t row = static_cast<int64_t>(blockIdx.x) * Tile::kRows,
                k0 = static_cast<int64_t>(blockIdx.y) * Tile::kColumns;
  Value mine[Tile::kEach];
  double sum[Tile::kEach];
#pragma unroll
  for (int r = 0; r < Tile::kEach; ++r) {
    const int64_t i = row + group * Tile::kEach + r;
    mine[r] = i < n && k0 + column < d ? static_cast<Value>(x[i * d + k0 + column]) : Value(0);
    sum[r] = 0;
  }
  for (int64_t j0 = 0; j0 < m; j0 += Tile::kDepth) {
    __syncthreads();
    for (int e = tid; e < Tile::kRows * Tile::kDepth; e += kBlock) {
      const int64_t i = row + e / Tile::kDepth, j = j0 + e % Tile::kDepth;
      weights[e / Tile::kDepth][e % Tile::kDepth] = i < n && j < m ? w(i, j) : Value(0);
    }
    for (int e = tid; e < Tile::kDepth * Tile::kColumns; e += kBlock) {
      const int64_t j = j0 + e / Tile::kColumns, k = k0 + e % Tile::kColumns;
      others[e / Tile::kColumns][e % Tile::kColumns] = j < m && k < d ? y[j * d + k] : 0.0f;
    }
    __syncthreads();
    Value part[Tile::kEach] = {};
    for (int j = 0; j < Tile::kDepth; ++j) {
      const Value other = static_cast<Value>(others[j][column]);
#pragma unroll
      for (int r = 0; r < Tile::kEach; ++r) {
        const Value weight = weights[group * Tile::kEach + r][j];
        if constexpr (std::is_same_v<Value, double>) sum[r] += rounded_product(weight, mine[r] - other);
        else part[r] += weight * (mine[r] - other);
      }
    }
#pragma unroll
    for (int r = 0; r < Tile::kEach; ++r) sum[r] += static_cast<double>(part[r]);
  }
#pragma unroll
  for (int r = 0; r < Tile::kEach; ++r) {
    const int64_t i = row + group * Tile::kEach + r;
    if (i < n && k0 + column < d) out[i * d + k0 + column] = static_cast<float>(sum[r]);
  }
}

template <class W>
void weighted_differences(const char* name, cudaStream_t stream, const W& w, const float* x, const float* y,
                          int64_t n, int64_t m, int64_t d, float* out) {
  using Tile = DifferenceTile;
  const dim3 grid(static_cast<unsigned>((n + Tile::kRows - 1) / Tile::kRows),
                  static_cast<unsigned>((d + Tile::kColumns - 1) / Tile::kColumns));
  launch(name, weighted_differences_kernel<W>, grid, dim3(kBlock), 0, stream, w, x, y, n, m, d, out);
}

}  // namespace tern::cu
