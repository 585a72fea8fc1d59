#include "tern/ops/distance.h"

#include <algorithm>
#include <cmath>

#include "tern/core/parallel.h"
#include "tern/cpu/grain.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/reference/distance.h"
#include "tern/cpu/reference/l2_normalize.h"
#include "tern/cpu/reference/squared_distance.h"
#include "tern/cpu/triplet_batch.h"
#include "tern/cpu/triplet_rules.h"

namespace tern::cpu {
namespace {

template <class T>
void pairwise_forward(const Tensor& a, const Tensor& b, PairwiseDistanceOptions options, const Tensor& out) {
  const int64_t n = a.size(0), d = a.size(1);
  const T *x = a.data<T>(), *y = b.data<T>();
  T* distance = out.mutable_data<T>();
  parallel_for(n, row_grain(d), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      distance[i] = static_cast<T>(reference::norm_distance(x + i * d, y + i * d, d, options.p, options.eps));
  });
}

template <class T>
void pairwise_backward(const Tensor& dy, const Tensor& a, const Tensor& b, PairwiseDistanceOptions options,
                       const Tensor& da, const Tensor& db) {
  const int64_t n = a.size(0), d = a.size(1);
  const T *g = dy.data<T>(), *x = a.data<T>(), *y = b.data<T>();
  T *dx = da.mutable_data<T>(), *dz = db.mutable_data<T>();
  parallel_for(n, row_grain(d), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      std::fill_n(dx + i * d, d, T(0));
      std::fill_n(dz + i * d, d, T(0));
      const double distance = reference::norm_distance(x + i * d, y + i * d, d, options.p, options.eps);
      reference::norm_gradient(x + i * d, y + i * d, d, options.p, options.eps, distance,
                               [&](int64_t k, double slope) {
                                 dx[i * d + k] = static_cast<T>(static_cast<double>(g[i]) * slope);
                                 dz[i * d + k] = -dx[i * d + k];
                               });
    }
  });
}

bool is_zero_row(const auto* x, int64_t d) {
  return std::all_of(x, x + d, [](auto v) { return v == 0; });
}

template <class T>
void cdist_forward_naive(const T* a, const T* b, int64_t n, int64_t m, int64_t d, Distance distance, T* out) {
  parallel_for(n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t j = 0; j < m; ++j) {
        double value = distance_of(reference::squared_distance(a + i * d, b + j * d, d), distance);
        if (distance == Distance::Cosine)
          value += 0.5 * (is_zero_row(a + i * d, d) + is_zero_row(b + j * d, d));
        out[i * m + j] = static_cast<T>(value);
      }
  });
}

// One row of Gram values becomes distances; padded to kRowQuantum.
void finish_row(const float* a, float norm, const float* b, const float* norms, float largest, int64_t m,
                int64_t d, Distance distance, std::vector<int32_t>& near, float* least, float* row) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  const TripletKernels& kernels = triplet_kernels();
  const int64_t padded = static_cast<int64_t>(near.size());
  std::fill(row + m, row + padded, 0.0f);
  const bool finite = kernels.gram_to_squared(row, norms, norm, padded, least);
  const auto direct = [&](int64_t j) {
    row[j] = static_cast<float>(std::min<double>(reference::squared_distance(a, b + j * d, d), kLargest));
  };
  if (!finite) {
    for (int64_t j = 0; j < m; ++j) direct(j);
  } else {
    const int64_t count =
        kernels.collect(row, least, -HUGE_VALF, kNearFraction * (norm + largest), padded, near.data());
    for (int64_t t = 0; t < count; ++t) {
      const int64_t j = near[static_cast<size_t>(t)];
      if (j < m && row[j] <= kNearFraction * (norm + norms[j])) direct(j);
    }
  }
  kernels.to_distance(row, row_metric(distance), padded);
}

void cdist_forward_fast(const float* a, const float* b, int64_t n, int64_t m, int64_t d, Distance distance,
                        float* out) {
  const int64_t padded = (m + kRowQuantum - 1) / kRowQuantum * kRowQuantum;
  PackedB packed_b(d, m);
  packed_b.pack(b, d, true);
  std::vector<float> norms(static_cast<size_t>(padded), 0.0f), zero(static_cast<size_t>(m), 0.0f);
  float largest = 0;
  bool any_zero = false;
  for (int64_t j = 0; j < m; ++j) {
    norms[static_cast<size_t>(j)] = static_cast<float>(reference::dot(b + j * d, b + j * d, d));
    largest = std::max(largest, norms[static_cast<size_t>(j)]);
    if (distance == Distance::Cosine && is_zero_row(b + j * d, d))
      zero[static_cast<size_t>(j)] = 0.5f, any_zero = true;
  }
  const int64_t tile_rows = gemm_kernels().by_rows.rows;
  parallel_for((n + tile_rows - 1) / tile_rows, 1, [&](int64_t begin, int64_t end) {
    const Scratch<float> packed(kMaxTileRows * kRowStride), tile_data(kMaxTileRows * padded),
        least(padded / 4);
    std::vector<int32_t> near(static_cast<size_t>(padded));
    float* rows[kMaxTileRows];
    for (int64_t r = 0; r < kMaxTileRows; ++r) rows[r] = tile_data.data() + r * padded;
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t first = tile * tile_rows, count = std::min(tile_rows, n - first);
      multiply_tile(packed_b, count, packed.data(), rows, [&](int64_t k, int64_t depth, float* to) {
        gemm_kernels().pack_rows(a + first * d + k, d, count, depth, to);
      });
      for (int64_t r = 0; r < count; ++r) {
        const float* mine = a + (first + r) * d;
        const float norm = static_cast<float>(reference::dot(mine, mine, d));
        finish_row(mine, norm, b, norms.data(), largest, m, d, distance, near, least.data(), rows[r]);
        float* to = out + (first + r) * m;
        std::copy_n(rows[r], m, to);
        const float half = distance == Distance::Cosine && is_zero_row(mine, d) ? 0.5f : 0.0f;
        for (int64_t j = 0; j < m && (any_zero || half > 0); ++j)
          to[j] += half + zero[static_cast<size_t>(j)];
      }
    }
  });
}

// The weight of (x_i - others_j), from dy and d in whichever order they lie.
template <class T>
struct CdistWeights {
  const T *dy, *d;
  int64_t row, column;  // distances of elements
  Distance distance;
  double operator()(int64_t i, int64_t j) const {
    const int64_t at = i * row + j * column;
    return static_cast<double>(dy[at]) * distance_slope(static_cast<double>(d[at]), distance);
  }
};

template <class T>
void cdist_backward_naive(const CdistWeights<T>& w, const T* x, const T* others, int64_t n, int64_t m,
                          int64_t d, T* dx) {
  parallel_for(n, 1, [&](int64_t begin, int64_t end) {
    std::vector<double> sum(static_cast<size_t>(d));
    for (int64_t i = begin; i < end; ++i) {
      std::fill(sum.begin(), sum.end(), 0.0);
      for (int64_t j = 0; j < m; ++j) {
        const double weight = w(i, j);
        for (int64_t k = 0; k < d; ++k)
          sum[static_cast<size_t>(k)] +=
              weight * (static_cast<double>(x[i * d + k]) - static_cast<double>(others[j * d + k]));
      }
      for (int64_t k = 0; k < d; ++k) dx[i * d + k] = static_cast<T>(sum[static_cast<size_t>(k)]);
    }
  });
}

// dx = diag(rowsum(W)) x - W others.
void cdist_backward_fast(const CdistWeights<float>& w, const float* x, const float* others, int64_t n,
                         int64_t m, int64_t d, float* dx) {
  PackedB b(m, d);
  b.pack(others, d, false);
  const int64_t tile_rows = gemm_kernels().by_rows.rows;
  parallel_for((n + tile_rows - 1) / tile_rows, 1, [&](int64_t begin, int64_t end) {
    const Scratch<float> packed(kMaxTileRows * kRowStride);
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t first = tile * tile_rows, rows = std::min(tile_rows, n - first);
      double sums[kMaxTileRows] = {};
      float* out[kMaxTileRows];
      for (int64_t r = 0; r < rows; ++r) out[r] = dx + (first + r) * d;
      multiply_tile(b, rows, packed.data(), out, [&](int64_t k, int64_t depth, float* to) {
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t j = 0; j < depth; ++j) {
            const float weight = static_cast<float>(w(first + r, k + j));
            to[r * kRowStride + j] = weight;
            sums[r] += static_cast<double>(weight);
          }
      });
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t k = 0; k < d; ++k)
          out[r][k] = static_cast<float>(sums[r] * static_cast<double>(x[(first + r) * d + k]) -
                                         static_cast<double>(out[r][k]));
    }
  });
}

}  // namespace

void pairwise_distance_forward(const Tensor& a, const Tensor& b, PairwiseDistanceOptions options,
                               const Tensor& d) {
  if (a.dtype() == DType::F64) return pairwise_forward<double>(a, b, options, d);
  pairwise_forward<float>(a, b, options, d);
}

void pairwise_distance_backward(const Tensor& dy, const Tensor& a, const Tensor& b,
                                PairwiseDistanceOptions options, const Tensor& da, const Tensor& db) {
  if (a.dtype() == DType::F64) return pairwise_backward<double>(dy, a, b, options, da, db);
  pairwise_backward<float>(dy, a, b, options, da, db);
}

void cdist_forward(const Tensor& a, const Tensor& b, Distance distance, const Tensor& d) {
  const int64_t n = a.size(0), m = b.size(0), dim = a.size(1);
  if (a.dtype() == DType::F64)
    cdist_forward_naive(a.data<double>(), b.data<double>(), n, m, dim, distance, d.mutable_data<double>());
  else if (use_reference())
    cdist_forward_naive(a.data<float>(), b.data<float>(), n, m, dim, distance, d.mutable_data<float>());
  else cdist_forward_fast(a.data<float>(), b.data<float>(), n, m, dim, distance, d.mutable_data<float>());
}

void cdist_backward(const Tensor& dy, const Tensor& a, const Tensor& b, const Tensor& d, Distance distance,
                    bool transposed, const Tensor& da) {
  const int64_t n = a.size(0), m = b.size(0), dim = a.size(1);
  const int64_t row = transposed ? 1 : m, column = transposed ? n : 1;
  if (a.dtype() == DType::F64) {
    const CdistWeights<double> w{dy.data<double>(), d.data<double>(), row, column, distance};
    return cdist_backward_naive(w, a.data<double>(), b.data<double>(), n, m, dim, da.mutable_data<double>());
  }
  const CdistWeights<float> w{dy.data<float>(), d.data<float>(), row, column, distance};
  if (use_reference())
    return cdist_backward_naive(w, a.data<float>(), b.data<float>(), n, m, dim, da.mutable_data<float>());
  cdist_backward_fast(w, a.data<float>(), b.data<float>(), n, m, dim, da.mutable_data<float>());
}

}  // namespace tern::cpu
