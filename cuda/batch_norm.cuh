#pragma once
// What the kernels of batch normalisation share (cuda/batch_norm.cu): the constants of a block's channels and
// how dy becomes g. Blocks, threads and tiles: cuda/columns.cuh.

#include "tern/cuda/columns.cuh"
#include "tern/ops/batch_norm.h"
#include "tern/ops/batch_norm_formulas.h"

namespace tern::cu {

// The parameters of all channels; all but the statistics may be null.
struct ChannelArrays {
  const double* statistics;  // [2, channels]
  const float *gamma, *beta, *slope;
  const double* sums;  // [3, channels]: for dx while training
  int64_t channels;
  double eps, rows;
};

__device__ __forceinline__ BatchNormChannel channel_of(const ChannelArrays& a, int64_t c) {
  return {a.statistics[c], BatchNormChannel::inverse_deviation(a.statistics[a.channels + c], a.eps),
          a.gamma ? static_cast<double>(a.gamma[c]) : 1.0, a.beta ? static_cast<double>(a.beta[c]) : 0.0};
}

// A block works its channels' constants out once, in f64 and in shared memory; a thread then keeps those of
// its columns.
enum Constant { kShift, kScale, kBias, kSlope, kTilt, kOffset, kConstants };

template <int kW>
struct ChannelConstants {
  float shift[kW], scale[kW], bias[kW], slope[kW], tilt[kW], offset[kW];
};

template <int kW>
__device__ __forceinline__ ChannelConstants<kW> channel_constants(const ChannelArrays& a,
                                                                  const ColumnThread<kW>& t) {
  __shared__ float table[kConstants][kColumnWidth * kW];
  for (int i = static_cast<int>(threadIdx.x); i < t.columns; i += kBlock) {
    const int64_t c = t.first_column + i;
    const BatchNormChannel channel = channel_of(a, c);
    table[kShift][i] = channel.shift();
    table[kScale][i] = static_cast<float>(channel.scale());
    table[kBias][i] = static_cast<float>(channel.bias());
    table[kSlope][i] = a.slope ? a.slope[c] : 0;
    const double sum_g = a.sums ? a.sums[c] : 0, sum_gx = a.sums ? a.sums[a.channels + c] : 0;
    table[kTilt][i] = static_cast<float>(channel.tilt(sum_gx, a.rows));
    table[kOffset][i] = static_cast<float>(channel.offset(sum_g, sum_gx, a.rows));
  }
  __syncthreads();
  ChannelConstants<kW> k;
#pragma unroll
  for (int w = 0; w < kW; ++w) {
    const int i = t.active ? t.x * kW + w : 0;
    k.shift[w] = table[kShift][i];
    k.scale[w] = table[kScale][i];
    k.bias[w] = table[kBias][i];
    k.slope[w] = table[kSlope][i];
    k.tilt[w] = table[kTilt][i];
    k.offset[w] = table[kOffset][i];
  }
  return k;
}

// The mask of z > 0: a byte for 8 rows of a channel, [ceil(rows / 8), channels], bit r % 8. A thread has the
// bytes of its columns side by side and writes them at once.
static_assert(kRowGroup == 8);
template <int kW>
struct MaskBytes;
template <>
struct MaskBytes<1> {
  using Word = uint8_t;
};
template <>
struct MaskBytes<4> {
  using Word = uint32_t;
};
template <>
struct MaskBytes<8> {
  using Word = uint64_t;
};
// Which of those words belongs to a group of rows and a thread's columns.
template <int kW>
__device__ __forceinline__ int64_t mask_word(const ColumnTiles& t, int64_t row, int64_t column) {
  return (row / kRowGroup * t.columns + column) / kW;
}
template <int kW>
__device__ __forceinline__ typename MaskBytes<kW>::Word mask_bit(int row, int column) {
  return static_cast<typename MaskBytes<kW>::Word>(typename MaskBytes<kW>::Word{1}
                                                   << (row + kRowGroup * column));
}

// y = act(z) of one element, and whether z is above 0 (NaN is, and stays).
struct Activated {
  float y;
  bool on;
};
__device__ __forceinline__ Activated activate(Activation activation, float z, float slope) {
  const bool on = !(z <= 0);
  if (on || activation == Activation::None) return {z, on};
  return {activation == Activation::Relu ? 0.0f : z * slope, on};
}

// What the backward kernels read. residual and mask may be null.
template <class T>
struct GateArrays {
  const T *dy, *x, *residual;
  const uint8_t* mask;
  Activation activation;
};

// kLoadRows rows on the way back: g = dy act'(z), d = x - shift, and dy z where z <= 0.
template <int kW>
struct GateRows {
  float g[kLoadRows][kW], d[kLoadRows][kW];
};
template <int kW, class T>
__device__ __forceinline__ void load_gate(const GateArrays<T>& a, const ChannelConstants<kW>& k,
                                          const ColumnTiles& tiles, int64_t row, int64_t column, int rows,
                                          GateRows<kW>& v, float (&slope_sum)[kW]) {
  const int64_t at = row * tiles.columns + column;
  load_rows<kW>(a.x + at, rows, tiles.columns, v.d);
  load_rows<kW>(a.dy + at, rows, tiles.columns, v.g);
  float residual[kLoadRows][kW] = {};
  if (a.residual) load_rows<kW>(a.residual + at, rows, tiles.columns, residual);
  typename MaskBytes<kW>::Word mask = 0;
  if (a.mask && rows > 0)
    mask = reinterpret_cast<const typename MaskBytes<kW>::Word*>(a.mask)[mask_word<kW>(tiles, row, column)];
  const int bit = static_cast<int>(row % kRowGroup);
#pragma unroll
  for (int r = 0; r < kLoadRows; ++r) {
#pragma unroll
    for (int w = 0; w < kW; ++w) {
      float &g = v.g[r][w], &d = v.d[r][w];
      d = r < rows ? d - k.shift[w] : 0.0f;
      if (a.activation == Activation::None) continue;
      const float z = multiply_add(d, k.scale[w], k.bias[w]) + residual[r][w];
      const bool on = a.mask ? (mask >> (bit + r) & mask_bit<kW>(0, w)) != 0 : !(z <= 0);
      if (on) continue;
      slope_sum[w] += g * z;
      g = a.activation == Activation::Relu ? 0.0f : g * k.slope[w];
    }
  }
}

// ---- host ----

template <class T>
const T* maybe(const Tensor& x) {
  return x.defined() ? input<T>(x) : nullptr;
}
template <class T>
T* maybe_output(const Tensor& y) {
  return y.defined() ? output<T>(y) : nullptr;
}

// body(T{}, integral_constant<int, kW>, tiles): 16 bytes at a time if channels and every pointer allow it.
template <class Body, class... Tensors>
void over_columns(const BatchNormGeometry& g, const Body& body, const Tensor& x, const Tensors&... others) {
  on_activation("batch_norm", x.dtype(), [&]<class T>(T) {
    constexpr int kW = kPerVector<T>;
    if (g.channels % kW == 0 && aligned_to_vector(input<T>(x), maybe<T>(others)...))
      body(T{}, std::integral_constant<int, kW>{}, make_column_tiles(g.rows, g.channels, kW));
    else body(T{}, std::integral_constant<int, 1>{}, make_column_tiles(g.rows, g.channels, 1));
  });
}

}  // namespace tern::cu
