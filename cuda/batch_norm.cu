// Batch normalisation (ops/batch_norm.h) is a question of bytes: apply reads x [and the residual] and writes
// y, the backward reduction reads x and dy, the backward apply reads both and writes dx [and dresidual]. The
// activation and what is absent are decided by uniform branches, so that there is one kernel a pass and type.

#include "tern/cuda/batch_norm.cuh"

namespace tern::cu {
namespace {

// ---- apply ----

template <class T>
struct ApplyArrays {
  const T *x, *residual;  // residual may be null
  T* y;
  uint8_t* mask;  // may be null
  Activation activation;
};

template <int kW, class T>
__global__ void __launch_bounds__(kBlock)
    batch_norm_apply_kernel(ColumnTiles tiles, ChannelArrays channels, ApplyArrays<T> a) {
  const ColumnThread<kW> t(tiles);
  const ChannelConstants<kW> k = channel_constants<kW>(channels, t);
  for (int round = 0; round < tiles.rounds; ++round) {
    const int64_t group = t.row(tiles, round);
    const int n = t.rows(tiles, group);
    typename MaskBytes<kW>::Word mask = 0;
    for (int begin = 0; begin < n; begin += kLoadRows) {
      const int rows = load_count(n - begin);
      const int64_t at = (group + begin) * tiles.columns + t.column;
      float v[kLoadRows][kW], residual[kLoadRows][kW] = {};
      load_rows<kW>(a.x + at, rows, tiles.columns, v);
      if (a.residual) load_rows<kW>(a.residual + at, rows, tiles.columns, residual);
#pragma unroll
      for (int r = 0; r < kLoadRows; ++r) {
#pragma unroll
        for (int w = 0; w < kW; ++w) {
          const float z = multiply_add(v[r][w] - k.shift[w], k.scale[w], k.bias[w]) + residual[r][w];
          const Activated done = activate(a.activation, z, k.slope[w]);
          v[r][w] = done.y;
          if (done.on && r < rows) mask |= mask_bit<kW>(r, w) << begin;
        }
      }
      store_rows<kW>(a.y + at, rows, tiles.columns, v);
    }
    if (a.mask && n > 0)
      reinterpret_cast<typename MaskBytes<kW>::Word*>(a.mask)[mask_word<kW>(tiles, group, t.column)] = mask;
  }
}

// ---- backward ----

// part: f64 [row tiles, 3, columns]: sum g, sum g (x - shift), sum of dy z where z <= 0
template <int kW, class T>
__global__ void __launch_bounds__(kBlock)
    batch_norm_reduce_kernel(ColumnTiles tiles, ChannelArrays channels, GateArrays<T> a, double* part) {
  const ColumnThread<kW> t(tiles);
  const ChannelConstants<kW> k = channel_constants<kW>(channels, t);
  float sums[3][kW] = {};
  for (int i = 0; i < tiles.rounds * (kRowGroup / kLoadRows); ++i) {
    const int64_t group = t.row(tiles, i / 2);
    const int rows = load_count(t.rows(tiles, group) - i % 2 * kLoadRows);
    if (rows == 0) continue;
    GateRows<kW> v;
    load_gate<kW>(a, k, tiles, group + i % 2 * kLoadRows, t.column, rows, v, sums[2]);
#pragma unroll
    for (int r = 0; r < kLoadRows; ++r) {
#pragma unroll
      for (int w = 0; w < kW; ++w) {
        sums[0][w] += v.g[r][w];
        sums[1][w] += v.g[r][w] * v.d[r][w];
      }
    }
  }
#pragma unroll
  for (int kind = 0; kind < 3; ++kind) {
    double total[kW];
#pragma unroll
    for (int w = 0; w < kW; ++w) total[w] = sums[kind][w];
    sum_lanes<kW>(tiles.width, tiles.lanes, total);
    if (!t.active || t.lane != 0) continue;
#pragma unroll
    for (int w = 0; w < kW; ++w) part[(t.tile * 3 + kind) * tiles.columns + t.column + w] = total[w];
  }
}

__global__ void __launch_bounds__(kBlock, 1)
    batch_norm_sums_kernel(ColumnTiles tiles, const double* part, const double* statistics, double* sums) {
  const SumThread t;
  const bool active = t.column < tiles.columns;
  double total[3] = {};
  for (int64_t i = active ? t.lane : tiles.row_tiles; i < tiles.row_tiles; i += SumThread::kLanes) {
#pragma unroll
    for (int kind = 0; kind < 3; ++kind) total[kind] += part[(i * 3 + kind) * tiles.columns + t.column];
  }
  sum_lanes<3>(kSumColumns, SumThread::kLanes, total);
  if (!active || t.lane != 0) return;
  total[1] -= BatchNormChannel{statistics[t.column], 1}.low() * total[0];
#pragma unroll
  for (int kind = 0; kind < 3; ++kind) sums[kind * tiles.columns + t.column] = total[kind];
}

// dx, which may be dy, and dresidual may be null.
template <int kW, class T>
__global__ void __launch_bounds__(kBlock, 1)
    batch_norm_backward_kernel(ColumnTiles tiles, ChannelArrays channels, GateArrays<T> a, T* dx,
                               T* dresidual) {
  const ColumnThread<kW> t(tiles);
  const ChannelConstants<kW> k = channel_constants<kW>(channels, t);
  float unused[kW] = {};
  for (int i = 0; i < tiles.rounds * (kRowGroup / kLoadRows); ++i) {
    const int64_t group = t.row(tiles, i / 2), row = group + i % 2 * kLoadRows;
    const int rows = load_count(t.rows(tiles, group) - i % 2 * kLoadRows);
    if (rows == 0) continue;
    const int64_t at = row * tiles.columns + t.column;
    GateRows<kW> v;
    load_gate<kW>(a, k, tiles, row, t.column, rows, v, unused);
    if (dresidual) store_rows<kW>(dresidual + at, rows, tiles.columns, v.g);
    if (!dx) continue;
#pragma unroll
    for (int r = 0; r < kLoadRows; ++r) {
#pragma unroll
      for (int w = 0; w < kW; ++w) {
        v.g[r][w] *= k.scale[w];
        if (channels.sums) v.g[r][w] += multiply_add(v.d[r][w], k.tilt[w], k.offset[w]);
      }
    }
    store_rows<kW>(dx + at, rows, tiles.columns, v.g);
  }
}

// ---- host ----

ChannelArrays arrays_of(const BatchNormGeometry& g, const BatchNormInputs& in, const BatchNormState& state,
                        const Tensor& sums = {}) {
  return {input<double>(state.statistics),
          maybe<float>(in.gamma),
          maybe<float>(in.beta),
          maybe<float>(in.slope),
          maybe<double>(sums),
          g.channels,
          g.eps,
          static_cast<double>(g.rows)};
}
template <class T>
GateArrays<T> gate_of(const BatchNormGeometry& g, const Tensor& dy, const BatchNormInputs& in,
                      const BatchNormState& state) {
  return {input<T>(dy), input<T>(in.x), maybe<T>(in.residual), maybe<uint8_t>(state.mask), g.activation};
}

}  // namespace

int64_t batch_norm_mask_words(const BatchNormGeometry& g) {
  return ((g.rows + kRowGroup - 1) / kRowGroup * g.channels + 3) / 4;
}

void batch_norm_apply(const BatchNormGeometry& g, const BatchNormInputs& in, const BatchNormState& state,
                      const Tensor& y) {
  over_columns(
      g,
      [&]<class T>(T, auto w, const ColumnTiles& tiles) {
        const ApplyArrays<T> a{input<T>(in.x), maybe<T>(in.residual), output<T>(y),
                               maybe_output<uint8_t>(state.mask), g.activation};
        launch("batch_norm_apply", batch_norm_apply_kernel<w(), T>, tiles.grid(), dim3(kBlock), 0,
               stream_of(y), tiles, arrays_of(g, in, state), a);
      },
      y, in.x, in.residual);
}

void batch_norm_backward_reduce(const BatchNormGeometry& g, const Tensor& dy, const BatchNormInputs& in,
                                const BatchNormState& state, const Tensor& sums) {
  over_columns(
      g,
      [&]<class T>(T, auto w, const ColumnTiles& tiles) {
        const Tensor part = Tensor::empty({tiles.row_tiles, 3, g.channels}, {DType::F64, dy.device()});
        launch("batch_norm_reduce", batch_norm_reduce_kernel<w(), T>, tiles.grid(), dim3(kBlock), 0,
               stream_of(dy), tiles, arrays_of(g, in, state), gate_of<T>(g, dy, in, state),
               output<double>(part));
        launch("batch_norm_sums", batch_norm_sums_kernel, sum_grid(g.channels), dim3(kBlock), 0,
               stream_of(dy), tiles, input<double>(part), input<double>(state.statistics),
               output<double>(sums));
      },
      dy, in.x, in.residual);
}

void batch_norm_backward_apply(const BatchNormGeometry& g, const Tensor& dy, const BatchNormInputs& in,
                               const BatchNormState& state, const Tensor& sums, const Tensor& dx,
                               const Tensor& dresidual) {
  over_columns(
      g,
      [&]<class T>(T, auto w, const ColumnTiles& tiles) {
        launch("batch_norm_backward", batch_norm_backward_kernel<w(), T>, tiles.grid(), dim3(kBlock), 0,
               stream_of(dy), tiles, arrays_of(g, in, state, g.training ? sums : Tensor()),
               gate_of<T>(g, dy, in, state), maybe_output<T>(dx), maybe_output<T>(dresidual));
      },
      dy, in.x, in.residual, dx, dresidual);
}

}  // namespace tern::cu
