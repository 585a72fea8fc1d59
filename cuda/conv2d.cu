#include <algorithm>

#include "tern/core/storage.h"
#include "tern/cuda/alignment.h"
#include "tern/cuda/channel_tiles.cuh"
#include "tern/cuda/conv2d_kernels.h"
#include "tern/ops/formulas.h"

namespace tern::cu {
namespace {

// ---- y = act(y + bias + residual) ----

template <class T, bool kVector>
__global__ void __launch_bounds__(kBlock)
    conv2d_epilogue_kernel(int64_t rows, int64_t channels, const float* bias, const T* residual,
                           const float* slope, Activation activation, T* y) {
  using Tile = ChannelTile<T, kVector>;
  const int64_t c = Tile::channel();
  if (c >= channels) return;
  float b[Tile::kSize] = {}, s[Tile::kSize] = {};
  if (bias) Tile::load_parameters(bias + c, b);
  if (slope) Tile::load_parameters(slope + c, s);
  for (int64_t row = Tile::first_row(); row < rows; row += Tile::row_step()) {
    const int64_t at = row * channels + c;
    float v[Tile::kSize], r[Tile::kSize] = {};
    Tile::load(y + at, v);
    if (residual) Tile::load(residual + at, r);
#pragma unroll
    for (int i = 0; i < Tile::kSize; ++i) {
      v[i] = v[i] + b[i] + r[i];
      if (activation == Activation::Relu) v[i] = Relu{}.forward(v[i]);
      if (activation == Activation::Prelu) v[i] = Prelu{}.forward(v[i], s[i]);
    }
    Tile::store(y + at, v);
  }
}

// ---- the sum of all rows ----

constexpr int64_t kRowsOfTile = 512, kMostTiles = 256;
int64_t tiles_of(int64_t rows) { return std::clamp<int64_t>(rows / kRowsOfTile, 1, kMostTiles); }

// partial[tile, c]: each thread adds every kRows-th row of the tile, then the block's rows are added in
// order.
template <class T, bool kVector>
__global__ void __launch_bounds__(kBlock)
    sum_rows_partial_kernel(int64_t rows, int64_t channels, int64_t rows_of_tile, const T* x,
                            float* partial) {
  using Tile = ChannelTile<T, kVector>;
  __shared__ float sums[Tile::kRows][Tile::kChannels];
  const int64_t c = Tile::channel(), begin = blockIdx.y * rows_of_tile;
  const int64_t end = begin + rows_of_tile < rows ? begin + rows_of_tile : rows;
  float sum[Tile::kSize] = {};
  if (c < channels) {
    for (int64_t row = begin + Tile::row(); row < end; row += Tile::kRows) {
      float v[Tile::kSize];
      Tile::load(x + row * channels + c, v);
#pragma unroll
      for (int i = 0; i < Tile::kSize; ++i) sum[i] += v[i];
    }
  }
#pragma unroll
  for (int i = 0; i < Tile::kSize; ++i) sums[Tile::row()][Tile::lane() * Tile::kSize + i] = sum[i];
  __syncthreads();
  const int column = static_cast<int>(threadIdx.x);
  const int64_t channel = static_cast<int64_t>(blockIdx.x) * Tile::kChannels + column;
  if (column >= Tile::kChannels || channel >= channels) return;
  float total = 0;
  for (int row = 0; row < Tile::kRows; ++row) total += sums[row][column];
  partial[blockIdx.y * channels + channel] = total;
}

__global__ void __launch_bounds__(kBlock)
    sum_rows_total_kernel(int64_t tiles, int64_t channels, const float* partial, float* sum) {
  const int64_t c = static_cast<int64_t>(blockIdx.x) * kBlock + threadIdx.x;
  if (c >= channels) return;
  double total = 0;
  for (int64_t tile = 0; tile < tiles; ++tile) total += static_cast<double>(partial[tile * channels + c]);
  sum[c] = static_cast<float>(total);
}

}  // namespace

void channel_epilogue(Device device, DType dtype, int64_t rows, int64_t channels, const ChannelEpilogue& e,
                      void* y) {
  const bool aligned = common_alignment({e.bias, e.residual, e.slope, y}) == kFullAlignment;
  with_channel_tile("conv2d", dtype, channels, aligned, [&]<class T, bool kVector>() {
    launch("conv2d_epilogue", conv2d_epilogue_kernel<T, kVector>,
           ChannelTile<T, kVector>::grid(rows, channels), dim3(kBlock), 0, runtime(device).compute_stream(),
           rows, channels, e.bias, static_cast<const T*>(e.residual), e.slope, e.activation,
           static_cast<T*>(y));
  });
}

void sum_rows(Device device, DType dtype, int64_t rows, int64_t channels, const void* x, float* sum) {
  if (channels == 0) return;
  const cudaStream_t stream = runtime(device).compute_stream();
  const int64_t tiles = tiles_of(rows), rows_of_tile = (rows + tiles - 1) / tiles;
  const auto scratch = Storage::allocate(tiles * channels * size_of(DType::F32), device);
  auto* partial = static_cast<float*>(scratch->data());
  with_channel_tile("conv2d", dtype, channels, common_alignment({x}) == kFullAlignment,
                    [&]<class T, bool kVector>() {
                      const auto lines = ChannelTile<T, kVector>::grid(1, channels).x;
                      launch("sum_rows_partial", sum_rows_partial_kernel<T, kVector>,
                             dim3(lines, static_cast<unsigned>(tiles)), dim3(kBlock), 0, stream, rows,
                             channels, rows_of_tile, static_cast<const T*>(x), partial);
                    });
  const auto blocks = static_cast<unsigned>((channels + kBlock - 1) / kBlock);
  launch("sum_rows_total", sum_rows_total_kernel, dim3(blocks), dim3(kBlock), 0, stream, tiles, channels,
         static_cast<const float*>(partial), sum);
}

}  // namespace tern::cu
