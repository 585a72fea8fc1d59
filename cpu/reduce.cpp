// Reductions on the CPU. A sum runs in f64 over tiles of fixed length whose partial sums are added in order:
// the result does not depend on the number of threads, and the loop over inner or over the tile vectorises.

#include "tern/ops/reduce.h"

#include <algorithm>
#include <vector>

#include "tern/core/parallel.h"
#include "tern/cpu/bf16.h"

namespace tern::cpu {
namespace {

constexpr int64_t kTile = 4096;

template <class T>
double tile_sum(const T* x, int64_t n) {
  double lane[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int k = 0; k < 8; ++k) lane[k] += static_cast<double>(x[i + k]);
  for (int k = 0; i < n; ++i, ++k) lane[k] += static_cast<double>(x[i]);
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

template <class T>
double contiguous_sum(const T* x, int64_t n) {
  const int64_t tiles = (n + kTile - 1) / kTile;
  std::vector<double> partial(static_cast<size_t>(tiles));
  parallel_for(tiles, 8, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      partial[static_cast<size_t>(t)] = tile_sum(x + t * kTile, std::min(kTile, n - t * kTile));
  });
  double sum = 0;
  for (const double p : partial) sum += p;
  return sum;
}

// Columns of x[n, inner]: f64 accumulators over tiles of rows, tiles added in order.
template <class T>
void column_sums(const T* x, int64_t n, int64_t inner, double scale, T* y) {
  if (inner == 0) return;
  const int64_t rows = std::max<int64_t>(1, kTile * 4 / inner);
  const int64_t tiles = (n + rows - 1) / rows;
  std::vector<double> partial(static_cast<size_t>(tiles * inner), 0.0);
  parallel_for(tiles, 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      double* acc = partial.data() + t * inner;
      for (int64_t r = t * rows; r < std::min(n, (t + 1) * rows); ++r)
        for (int64_t k = 0; k < inner; ++k) acc[k] += static_cast<double>(x[r * inner + k]);
    }
  });
  for (int64_t t = 1; t < tiles; ++t)
    for (int64_t k = 0; k < inner; ++k)
      partial[static_cast<size_t>(k)] += partial[static_cast<size_t>(t * inner + k)];
  for (int64_t k = 0; k < inner; ++k)
    y[k] = static_cast<T>((tiles > 0 ? partial[static_cast<size_t>(k)] : 0.0) * scale);
}

template <class T>
void sum_axis_loop(const ReduceGeometry& g, const T* x, double scale, T* y) {
  if (g.inner == 1 && g.outer == 1) {
    y[0] = static_cast<T>(contiguous_sum(x, g.n) * scale);
  } else if (g.outer == 1) {
    column_sums(x, g.n, g.inner, scale, y);
  } else {
    parallel_for(g.outer, std::max<int64_t>(1, kTile / std::max<int64_t>(1, g.n * g.inner)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t o = begin; o < end; ++o) {
                     const T* block = x + o * g.n * g.inner;
                     if (g.inner == 1) y[o] = static_cast<T>(contiguous_sum(block, g.n) * scale);
                     else column_sums(block, g.n, g.inner, scale, y + o * g.inner);
                   }
                 });
  }
}

template <class T>
void extreme_axis_loop(const ReduceGeometry& g, Extreme which, const T* x, T* y, int64_t* index) {
  const bool want_max = which == Extreme::Max;
  for (int64_t o = 0; o < g.outer; ++o)
    for (int64_t k = 0; k < g.inner; ++k) {
      const T* column = x + o * g.n * g.inner + k;
      int64_t best = 0;
      for (int64_t i = 1; i < g.n; ++i) {
        const T value = column[i * g.inner], so_far = column[best * g.inner];
        if (so_far != so_far) break;  // NaN wins
        if (value != value || (want_max ? value > so_far : value < so_far)) best = i;
      }
      y[o * g.inner + k] = column[best * g.inner];
      index[o * g.inner + k] = best;
    }
}

template <class T>
void expand_axis_loop(const ReduceGeometry& g, const T* dy, T scale, T* dx) {
  for (int64_t o = 0; o < g.outer; ++o)
    for (int64_t i = 0; i < g.n; ++i)
      for (int64_t k = 0; k < g.inner; ++k) dx[(o * g.n + i) * g.inner + k] = dy[o * g.inner + k] * scale;
}

template <class T>
void scatter_axis_loop(const ReduceGeometry& g, const T* dy, const int64_t* index, T* dx) {
  std::fill_n(dx, g.outer * g.n * g.inner, T(0));
  for (int64_t o = 0; o < g.outer; ++o)
    for (int64_t k = 0; k < g.inner; ++k) {
      const int64_t out = o * g.inner + k;
      dx[(o * g.n + index[out]) * g.inner + k] = dy[out];
    }
}

}  // namespace

void sum_axis(const ReduceGeometry& g, const Tensor& x, double scale, const Tensor& y) {
  if (x.dtype() == DType::BF16)
    return narrowing(y, [&](const Tensor& out) { sum_axis(g, widened(x), scale, out); });
  if (x.dtype() == DType::F64) sum_axis_loop(g, x.data<double>(), scale, y.mutable_data<double>());
  else sum_axis_loop(g, x.data<float>(), scale, y.mutable_data<float>());
}

void expand_axis(const ReduceGeometry& g, const Tensor& dy, double scale, const Tensor& dx) {
  if (dy.dtype() == DType::BF16)
    return narrowing(dx, [&](const Tensor& out) { expand_axis(g, widened(dy), scale, out); });
  if (dy.dtype() == DType::F64) expand_axis_loop(g, dy.data<double>(), scale, dx.mutable_data<double>());
  else expand_axis_loop(g, dy.data<float>(), static_cast<float>(scale), dx.mutable_data<float>());
}

void extreme_axis(const ReduceGeometry& g, Extreme which, const Tensor& x, const Tensor& y,
                  const Tensor& index) {
  if (x.dtype() == DType::BF16)
    return narrowing(y, [&](const Tensor& out) { extreme_axis(g, which, widened(x), out, index); });
  int64_t* at = index.mutable_data<int64_t>();
  if (x.dtype() == DType::F64) extreme_axis_loop(g, which, x.data<double>(), y.mutable_data<double>(), at);
  else extreme_axis_loop(g, which, x.data<float>(), y.mutable_data<float>(), at);
}

void scatter_axis(const ReduceGeometry& g, const Tensor& dy, const Tensor& index, const Tensor& dx) {
  if (dy.dtype() == DType::BF16)
    return narrowing(dx, [&](const Tensor& out) { scatter_axis(g, widened(dy), index, out); });
  const int64_t* at = index.data<int64_t>();
  if (dy.dtype() == DType::F64) scatter_axis_loop(g, dy.data<double>(), at, dx.mutable_data<double>());
  else scatter_axis_loop(g, dy.data<float>(), at, dx.mutable_data<float>());
}

}  // namespace tern::cpu
