// Instance normalisation (ops/instance_norm.h). A block has one image and up to 128 bytes of its channels
// side by side, a whole line of the cache; its other threads lie along the positions. It needs nobody else's
// sums, so each pass is one launch: forward reads x twice, backward x and dy twice, the second time from the
// L2 cache where the images of all running blocks fit. A single image of few channels occupies few
// multiprocessors; training batches have many.
//
// The sums of four neighbouring positions are f32, of deviations from the thread's first ones; everything
// beyond is f64, in an order that the shape fixes (cuda/columns.cuh).

#include "tern/ops/instance_norm.h"

#include "tern/cuda/batch_norm.cuh"

namespace tern::cu {
namespace {

constexpr int kInstanceWidth = 8;  // threads side by side: 128 bytes

// Tiles of columns as elsewhere; the tile of rows is the image.
ColumnTiles instance_tiles(const InstanceNormGeometry& g, int per_thread) {
  const int64_t vectors = g.channels / per_thread;
  ColumnTiles t{g.positions, g.channels, 1, 1, 1, 0, g.images};
  t.column_tiles = (vectors + kInstanceWidth - 1) / kInstanceWidth;
  t.width = static_cast<int>((vectors + t.column_tiles - 1) / t.column_tiles);
  t.lanes = kBlock / t.width;
  return t;
}

// The constants of one image's channels.
__device__ __forceinline__ ChannelArrays of_image(ChannelArrays all, int64_t image) {
  all.statistics += image * 2 * all.channels;
  if (all.sums) all.sums += image * 2 * all.channels;
  return all;
}

// body(first of `rows` positions, rows) over the positions of a thread, four at a time.
template <int kW, class Body>
__device__ __forceinline__ void each_position(const ColumnTiles& tiles, const ColumnThread<kW>& t,
                                              const Body& body) {
  const int64_t end = t.active ? tiles.rows : 0;
#pragma unroll 1  // eight loads are in flight as it is; more would spill
  for (int64_t row = int64_t{t.lane} * kLoadRows; row < end; row += int64_t{tiles.lanes} * kLoadRows)
    body(row, static_cast<int>(end - row < kLoadRows ? end - row : kLoadRows));
}

// Two values a channel, from the threads of lane 0: statistics or sums, f64 [2, channels] of an image.
template <int kW>
__device__ __forceinline__ void store_pair(const ColumnTiles& tiles, const ColumnThread<kW>& t, double* to,
                                           const double (&first)[kW], const double (&second)[kW]) {
  if (t.active && t.lane == 0) {
    to += t.tile * 2 * tiles.columns + t.column;
#pragma unroll
    for (int w = 0; w < kW; ++w) {
      to[w] = first[w];
      to[tiles.columns + w] = second[w];
    }
  }
  __syncthreads();  // the whole block reads them again
}

// Mean and biased variance over the positions.
template <int kW, class T>
__device__ __forceinline__ void instance_statistics(const ColumnTiles& tiles, const ColumnThread<kW>& t,
                                                    const T* x, double (&mean)[kW], double (&variance)[kW]) {
  float shift[kW] = {};
  double first[kW] = {}, second[kW] = {};
  int64_t count = 0;
  each_position<kW>(tiles, t, [&](int64_t row, int rows) {
    float v[kLoadRows][kW];
    load_rows<kW>(x + row * tiles.columns, rows, tiles.columns, v);
#pragma unroll
    for (int w = 0; w < kW; ++w) {
      if (count == 0) shift[w] = (v[0][w] + v[1][w] + v[2][w] + v[3][w]) / static_cast<float>(rows);
      float sum = 0, squares = 0;
#pragma unroll
      for (int r = 0; r < kLoadRows; ++r) {
        const float d = r < rows ? v[r][w] - shift[w] : 0.0f;
        sum += d;
        squares += d * d;
      }
      first[w] += sum;
      second[w] += squares;
    }
    count += rows;
  });
  const auto n = static_cast<double>(count), all = static_cast<double>(tiles.rows);
#pragma unroll
  for (int w = 0; w < kW; ++w) {
    const double own = count > 0 ? first[w] / n : 0, squares = second[w] - first[w] * own;
    first[w] = own;                                         // the thread's mean, off its shift
    second[w] = squares > 0 ? squares : squares - squares;  // 0, but NaN stays NaN
    mean[w] = n * (shift[w] + own);
  }
  sum_lanes<kW>(tiles.width, tiles.lanes, mean);
#pragma unroll
  for (int w = 0; w < kW; ++w) {
    mean[w] /= all;
    const double off = shift[w] + first[w] - mean[w];
    variance[w] = count > 0 ? second[w] + n * off * off : 0;
  }
  sum_lanes<kW>(tiles.width, tiles.lanes, variance);
#pragma unroll
  for (int w = 0; w < kW; ++w) variance[w] /= all;
}

template <int kW, class T>
__global__ void __launch_bounds__(kBlock)
    instance_norm_kernel(ColumnTiles tiles, ChannelArrays channels, const T* x, double* statistics, T* y) {
  const ColumnThread<kW> t(tiles);
  const int64_t first = t.tile * tiles.rows * tiles.columns + t.column;
  double mean[kW], variance[kW];
  instance_statistics<kW>(tiles, t, x + first, mean, variance);
  store_pair<kW>(tiles, t, statistics, mean, variance);
  const ChannelConstants<kW> k = channel_constants<kW>(of_image(channels, t.tile), t);
  each_position<kW>(tiles, t, [&](int64_t row, int rows) {
    const int64_t at = first + row * tiles.columns;
    float v[kLoadRows][kW];
    load_rows<kW>(x + at, rows, tiles.columns, v);
#pragma unroll
    for (int r = 0; r < kLoadRows; ++r) {
#pragma unroll
      for (int w = 0; w < kW; ++w) v[r][w] = multiply_add(v[r][w] - k.shift[w], k.scale[w], k.bias[w]);
    }
    store_rows<kW>(y + at, rows, tiles.columns, v);
  });
}

// dx may be null, and may be dy.
template <int kW, class T>
__global__ void __launch_bounds__(kBlock)
    instance_norm_backward_kernel(ColumnTiles tiles, ChannelArrays channels, const T* dy, const T* x,
                                  double* sums, T* dx) {
  const ColumnThread<kW> t(tiles);
  const int64_t first = t.tile * tiles.rows * tiles.columns + t.column;
  channels = of_image(channels, t.tile);
  float shift[kW];
  double sum[kW] = {}, sum_d[kW] = {};
#pragma unroll
  for (int w = 0; w < kW; ++w)
    shift[w] = t.active ? static_cast<float>(channels.statistics[t.column + w]) : 0.0f;
  each_position<kW>(tiles, t, [&](int64_t row, int rows) {
    const int64_t at = first + row * tiles.columns;
    float g[kLoadRows][kW], v[kLoadRows][kW];
    load_rows<kW>(dy + at, rows, tiles.columns, g);
    load_rows<kW>(x + at, rows, tiles.columns, v);
#pragma unroll
    for (int w = 0; w < kW; ++w) {
      float part = 0, part_d = 0;
#pragma unroll
      for (int r = 0; r < kLoadRows; ++r) {
        part += g[r][w];
        part_d += g[r][w] * (v[r][w] - shift[w]);
      }
      sum[w] += part;
      sum_d[w] += part_d;
    }
  });
  sum_lanes<kW>(tiles.width, tiles.lanes, sum);
  sum_lanes<kW>(tiles.width, tiles.lanes, sum_d);
#pragma unroll
  for (int w = 0; w < kW; ++w)
    if (t.active) sum_d[w] -= BatchNormChannel{channels.statistics[t.column + w], 1}.low() * sum[w];
  store_pair<kW>(tiles, t, sums, sum, sum_d);
  if (!dx) return;
  const ChannelConstants<kW> k = channel_constants<kW>(channels, t);
  each_position<kW>(tiles, t, [&](int64_t row, int rows) {
    const int64_t at = first + row * tiles.columns;
    float g[kLoadRows][kW], v[kLoadRows][kW];
    load_rows<kW>(dy + at, rows, tiles.columns, g);
    load_rows<kW>(x + at, rows, tiles.columns, v);
#pragma unroll
    for (int r = 0; r < kLoadRows; ++r) {
#pragma unroll
      for (int w = 0; w < kW; ++w)
        g[r][w] = g[r][w] * k.scale[w] + multiply_add(v[r][w] - k.shift[w], k.tilt[w], k.offset[w]);
    }
    store_rows<kW>(dx + at, rows, tiles.columns, g);
  });
}

// A thread a channel, images in order.
__global__ void __launch_bounds__(kBlock)
    instance_norm_parameters_kernel(int64_t images, ChannelArrays channels, float* dgamma, float* dbeta) {
  const int64_t c = static_cast<int64_t>(blockIdx.x) * kBlock + threadIdx.x;
  if (c >= channels.channels) return;
  double gamma = 0, beta = 0;
  for (int64_t n = 0; n < images; ++n) {
    const ChannelArrays a = of_image(channels, n);
    beta += a.sums[c];
    gamma += a.sums[a.channels + c] * channel_of(a, c).inverse;
  }
  dgamma[c] = static_cast<float>(gamma);
  dbeta[c] = static_cast<float>(beta);
}

// ---- host ----

ChannelArrays arrays_of_images(const InstanceNormGeometry& g, const Tensor& statistics, const Tensor& gamma,
                               const Tensor& beta, const Tensor& sums) {
  return {input<double>(statistics),
          maybe<float>(gamma),
          maybe<float>(beta),
          nullptr,
          maybe<double>(sums),
          g.channels,
          g.eps,
          static_cast<double>(g.positions)};
}

// body(T{}, integral_constant<int, kW>, tiles): 16 bytes at a time if channels and every pointer allow it.
template <class Body, class... Tensors>
void over_instances(const InstanceNormGeometry& g, const Body& body, const Tensor& x,
                    const Tensors&... others) {
  on_activation("instance_norm", x.dtype(), [&]<class T>(T) {
    constexpr int kW = kPerVector<T>;
    if (g.channels % kW == 0 && aligned_to_vector(input<T>(x), maybe<T>(others)...))
      body(T{}, std::integral_constant<int, kW>{}, instance_tiles(g, kW));
    else body(T{}, std::integral_constant<int, 1>{}, instance_tiles(g, 1));
  });
}

}  // namespace

void instance_norm_forward(const InstanceNormGeometry& g, const Tensor& x, const Tensor& gamma,
                           const Tensor& beta, const Tensor& statistics, const Tensor& y) {
  over_instances(
      g,
      [&]<class T>(T, auto w, const ColumnTiles& tiles) {
        launch("instance_norm", instance_norm_kernel<w(), T>, tiles.grid(), dim3(kBlock), 0, stream_of(x),
               tiles, arrays_of_images(g, statistics, gamma, beta, {}), input<T>(x),
               output<double>(statistics), output<T>(y));
      },
      x, y);
}

void instance_norm_backward(const InstanceNormGeometry& g, const Tensor& dy, const Tensor& x,
                            const Tensor& gamma, const Tensor& statistics, const Tensor& sums,
                            const Tensor& dx) {
  over_instances(
      g,
      [&]<class T>(T, auto w, const ColumnTiles& tiles) {
        launch("instance_norm_backward", instance_norm_backward_kernel<w(), T>, tiles.grid(), dim3(kBlock), 0,
               stream_of(x), tiles, arrays_of_images(g, statistics, gamma, {}, sums), input<T>(dy),
               input<T>(x), output<double>(sums), maybe_output<T>(dx));
      },
      x, dy, dx);
}

void instance_norm_backward_parameters(const InstanceNormGeometry& g, const Tensor& statistics,
                                       const Tensor& sums, const Tensor& dgamma, const Tensor& dbeta) {
  const auto blocks = static_cast<unsigned>((g.channels + kBlock - 1) / kBlock);
  launch("instance_norm_parameters", instance_norm_parameters_kernel, dim3(blocks), dim3(kBlock), 0,
         stream_of(sums), g.images, arrays_of_images(g, statistics, {}, {}, sums), output<float>(dgamma),
         output<float>(dbeta));
}

}  // namespace tern::cu
