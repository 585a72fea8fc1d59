#include "tern/cpu/triplet_gradient.h"

#include <algorithm>

#include "tern/core/parallel.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/reference/batch_triplet_loss.h"
#include "tern/cpu/triplet_batch.h"

namespace tern::cpu {
namespace {

// S = diag(w) C + (diag(w) C)^T, one tile of rows packed for multiplication; its row sums in f64 over j
// ascending.
void pack_symmetric(const float* c, const double* w, int64_t n, int64_t row, int64_t rows, int64_t k,
                    int64_t depth, float* to, double* sums) {
  for (int64_t r = 0; r < rows; ++r) {
    const float mine = static_cast<float>(w[row + r]);
    const float* from = c + (row + r) * n + k;
    for (int64_t j = 0; j < depth; ++j) to[r * kRowStride + j] = mine * from[j];
  }
  for (int64_t j = 0; j < depth; ++j) {
    const float theirs = static_cast<float>(w[k + j]);
    const float* from = c + (k + j) * n + row;
    for (int64_t r = 0; r < rows; ++r) {
      float& s = to[r * kRowStride + j];
      s += theirs * from[r];
      sums[r] += static_cast<double>(s);
    }
  }
}

// du = diag(rowsum(S)) u - S u, in the order of the coefficients, then put back.
void dense_gradient_fast(const BatchTripletGeometry& g, const float* u, const float* c, const int64_t* order,
                         const double* scale, float* du) {
  Scratch<float> sorted(g.n * g.d);
  std::vector<double> w(static_cast<size_t>(g.n));
  for (int64_t i = 0; i < g.n; ++i) {
    std::copy_n(u + order[i] * g.d, g.d, sorted.data() + i * g.d);
    w[static_cast<size_t>(i)] = scale[order[i]];
  }
  PackedB b(g.n, g.d);
  b.pack(sorted.data(), g.d, false);
  const int64_t tile_rows = gemm_kernels().tile_rows;
  parallel_for((g.n + tile_rows - 1) / tile_rows, 1, [&](int64_t begin, int64_t end) {
    const Scratch<float> packed(kMaxTileRows * kRowStride), product(kMaxTileRows * g.d);
    float* out[kMaxTileRows];
    for (int64_t r = 0; r < kMaxTileRows; ++r) out[r] = product.data() + r * g.d;
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t first = tile * tile_rows, rows = std::min(tile_rows, g.n - first);
      double sums[kMaxTileRows] = {};
      multiply_tile(b, rows, packed.data(), out, [&](int64_t k, int64_t depth, float* to) {
        pack_symmetric(c, w.data(), g.n, first, rows, k, depth, to, sums);
      });
      for (int64_t r = 0; r < rows; ++r) {
        const float* mine = sorted.data() + (first + r) * g.d;
        float* target = du + order[first + r] * g.d;
        for (int64_t k = 0; k < g.d; ++k)
          target[k] =
              static_cast<float>(sums[r] * static_cast<double>(mine[k]) - static_cast<double>(out[r][k]));
      }
    }
  });
}

template <class T>
void dense_gradient_naive(const BatchTripletGeometry& g, const T* u, const T* c, const double* scale, T* du) {
  parallel_for(g.n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      reference::dense_gradient_row(u, c, scale, g.n, g.d, i, du + i * g.d);
  });
}

// For every sample the others that pull at it, and how strongly, in the order of the terms.
struct Pulls {
  Pulls(const BatchTripletTerms& terms, const double* scale, int64_t n)
      : first(static_cast<size_t>(n) + 1, 0) {
    const int64_t count = terms.triplets.size(0);
    const int64_t* t = terms.triplets.data<int64_t>();
    const double* slope = terms.slopes.data<double>();
    // f(i, j, c): sample i is pulled towards j with c.
    const auto each = [&](auto&& f) {
      for (int64_t k = 0; k < count; ++k) {
        const double w = scale[t[3 * k]], ap = w * slope[2 * k], an = -w * slope[2 * k + 1];
        if (slope[2 * k] == 0 && slope[2 * k + 1] == 0) continue;
        f(t[3 * k], t[3 * k + 1], ap);
        f(t[3 * k + 1], t[3 * k], ap);
        f(t[3 * k], t[3 * k + 2], an);
        f(t[3 * k + 2], t[3 * k], an);
      }
    };
    each([&](int64_t i, int64_t, double) { ++first[static_cast<size_t>(i) + 1]; });
    for (size_t i = 1; i < first.size(); ++i) first[i] += first[i - 1];
    other.resize(static_cast<size_t>(first.back()));
    strength.resize(static_cast<size_t>(first.back()));
    std::vector<int64_t> next(first.begin(), first.end() - 1);
    each([&](int64_t i, int64_t j, double c) {
      const auto at = static_cast<size_t>(next[static_cast<size_t>(i)]++);
      other[at] = static_cast<int32_t>(j);
      strength[at] = c;
    });
  }
  std::vector<int64_t> first;  // [n + 1]
  std::vector<int32_t> other;
  std::vector<double> strength;
};

template <class T>
void listed_gradient_of(const BatchTripletGeometry& g, const T* u, const Pulls& pulls, T* du) {
  parallel_for(g.n, 8, [&](int64_t begin, int64_t end) {
    std::vector<float> narrow;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = pulls.first[static_cast<size_t>(i)];
      const int64_t count = pulls.first[static_cast<size_t>(i) + 1] - at;
      const int32_t* j = pulls.other.data() + at;
      const double* c = pulls.strength.data() + at;
      if constexpr (std::is_same_v<T, float>) {
        if (!use_reference()) {
          narrow.assign(c, c + count);
          triplet_kernels().pull(u + i * g.d, u, g.d, j, narrow.data(), count, g.d, du + i * g.d);
          continue;
        }
      }
      reference::pull(u, i, j, c, count, g.d, du + i * g.d);
    }
  });
}

}  // namespace

void dense_gradient(const BatchTripletGeometry& g, const Tensor& u, const BatchTripletTerms& terms,
                    const Tensor& scale, const Tensor& du) {
  const Tensor& c = terms.coefficients;
  const double* w = scale.data<double>();
  if (u.dtype() == DType::F64)
    return dense_gradient_naive(g, u.data<double>(), c.data<double>(), w, du.mutable_data<double>());
  if (use_reference() && terms.order.data<int64_t>()[0] == 0)
    return dense_gradient_naive(g, u.data<float>(), c.data<float>(), w, du.mutable_data<float>());
  dense_gradient_fast(g, u.data<float>(), c.data<float>(), terms.order.data<int64_t>(), w,
                      du.mutable_data<float>());
}

void listed_gradient(const BatchTripletGeometry& g, const Tensor& u, const BatchTripletTerms& terms,
                     const Tensor& scale, const Tensor& du) {
  const Pulls pulls(terms, scale.data<double>(), g.n);
  if (u.dtype() == DType::F64) listed_gradient_of(g, u.data<double>(), pulls, du.mutable_data<double>());
  else listed_gradient_of(g, u.data<float>(), pulls, du.mutable_data<float>());
}

}  // namespace tern::cpu
