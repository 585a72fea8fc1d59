#include "tern/cpu/triplet_gradient.h"

#include <algorithm>

#include "tern/core/parallel.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/reference/batch_triplet_loss.h"
#include "tern/cpu/triplet_batch.h"

namespace tern::cpu {
namespace {

// Rows first .. first + rows of S = diag(w) C + (diag(w) C)^T, to[rows, padded]. Reading a block of columns
// of C takes whole cache lines only because the block is wide.
void symmetric_rows(const float* c, const float* w, int64_t n, int64_t padded, int64_t first, int64_t rows,
                    float* to) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* from = c + (first + r) * n;
    for (int64_t j = 0; j < n; ++j) to[r * padded + j] = w[first + r] * from[j];
    std::fill(to + r * padded + n, to + (r + 1) * padded, 0.0f);
  }
  triplet_kernels().add_transposed(c + first, n, w, rows, n, to, padded);
}

// du = diag(rowsum(S)) u - S u, in the order of the coefficients, then put back.
void dense_gradient_fast(const BatchTripletGeometry& g, const float* u, const float* c, const int64_t* order,
                         const double* scale, float* du) {
  Scratch<float> sorted(g.n * g.d);
  std::vector<float> w(static_cast<size_t>(g.n));
  for (int64_t i = 0; i < g.n; ++i) {
    std::copy_n(u + order[i] * g.d, g.d, sorted.data() + i * g.d);
    w[static_cast<size_t>(i)] = static_cast<float>(scale[order[i]]);
  }
  PackedB b(g.n, g.d);
  b.pack(sorted.data(), g.d, false);
  const int64_t padded = (g.n + kRowQuantum - 1) / kRowQuantum * kRowQuantum;
  const int64_t tile_rows = gemm_kernels().tile_rows, block_rows = 64 / tile_rows * tile_rows;
  parallel_for((g.n + block_rows - 1) / block_rows, 1, [&](int64_t begin, int64_t end) {
    const Scratch<float> packed(kMaxTileRows * kRowStride), product(kMaxTileRows * g.d),
        s(block_rows * padded);
    float* out[kMaxTileRows];
    for (int64_t r = 0; r < kMaxTileRows; ++r) out[r] = product.data() + r * g.d;
    for (int64_t row = begin * block_rows; row < std::min(g.n, end * block_rows); row += tile_rows) {
      const int64_t rows = std::min(tile_rows, g.n - row), inside = row % block_rows;
      if (inside == 0)
        symmetric_rows(c, w.data(), g.n, padded, row, std::min(block_rows, g.n - row), s.data());
      const float* mine = s.data() + inside * padded;
      multiply_tile(b, rows, packed.data(), out, [&](int64_t k, int64_t depth, float* to) {
        gemm_kernels().pack_rows(mine + k, padded, rows, depth, to);
      });
      for (int64_t r = 0; r < rows; ++r) {
        const double sum = triplet_kernels().sum_finite(mine + r * padded, padded);
        const float* self = sorted.data() + (row + r) * g.d;
        float* target = du + order[row + r] * g.d;
        for (int64_t k = 0; k < g.d; ++k)
          target[k] = static_cast<float>(sum * static_cast<double>(self[k]) - static_cast<double>(out[r][k]));
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

// Who pulls at each sample: its own terms, which lie together, and the terms of other anchors that use it as
// positive (even entries: 2 t) or negative (odd: 2 t + 1), gathered here in the order of the terms.
struct Pulls {
  Pulls(const BatchTripletTerms& terms, const double* scale, int64_t n)
      : triplets(terms.triplets.data<int64_t>()),
        slopes(terms.slopes.data<double>()),
        scale(scale),
        own(static_cast<size_t>(n) + 1, 0),
        first(static_cast<size_t>(n) + 1, 0) {
    const int64_t count = terms.triplets.size(0);
    for (int64_t t = 0; t < count; ++t) {
      ++own[static_cast<size_t>(triplets[3 * t]) + 1];
      if (!active(t)) continue;
      ++first[static_cast<size_t>(triplets[3 * t + 1]) + 1];
      ++first[static_cast<size_t>(triplets[3 * t + 2]) + 1];
    }
    for (size_t i = 1; i < first.size(); ++i) {
      own[i] += own[i - 1];
      first[i] += first[i - 1];
    }
    entries.resize(static_cast<size_t>(first.back()));
    std::vector<int64_t> next(first.begin(), first.end() - 1);
    for (int64_t t = 0; t < count; ++t) {
      if (!active(t)) continue;
      for (int64_t side = 0; side < 2; ++side)
        entries[static_cast<size_t>(next[static_cast<size_t>(triplets[3 * t + 1 + side])]++)] = 2 * t + side;
    }
  }
  bool active(int64_t t) const { return slopes[2 * t] != 0 || slopes[2 * t + 1] != 0; }
  double strength(int64_t t, int64_t side) const {
    return (side == 0 ? 1 : -1) * scale[triplets[3 * t]] * slopes[2 * t + side];
  }
  // The others that pull at sample i, and how strongly.
  template <class C>
  void gather(int64_t i, std::vector<int32_t>& others, std::vector<C>& strengths) const {
    others.clear();
    strengths.clear();
    const auto add = [&](int64_t j, double c) {
      others.push_back(static_cast<int32_t>(j));
      strengths.push_back(static_cast<C>(c));
    };
    for (int64_t t = own[static_cast<size_t>(i)]; t < own[static_cast<size_t>(i) + 1]; ++t)
      for (int64_t side = 0; side < 2 && active(t); ++side)
        add(triplets[3 * t + 1 + side], strength(t, side));
    for (int64_t k = first[static_cast<size_t>(i)]; k < first[static_cast<size_t>(i) + 1]; ++k) {
      const int64_t entry = entries[static_cast<size_t>(k)];
      add(triplets[3 * (entry / 2)], strength(entry / 2, entry % 2));
    }
  }
  const int64_t* triplets;
  const double *slopes, *scale;
  std::vector<int64_t> own, first;  // [n + 1]
  std::vector<int64_t> entries;
};

template <class T>
void listed_gradient_of(const BatchTripletGeometry& g, const T* u, const Pulls& pulls, T* du) {
  parallel_for(g.n, 8, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> others;
    std::vector<double> strengths;
    std::vector<float> narrow;
    for (int64_t i = begin; i < end; ++i) {
      if constexpr (std::is_same_v<T, float>) {
        if (!use_reference()) {
          pulls.gather(i, others, narrow);
          triplet_kernels().pull(u + i * g.d, u, g.d, others.data(), narrow.data(),
                                 static_cast<int64_t>(others.size()), g.d, du + i * g.d);
          continue;
        }
      }
      pulls.gather(i, others, strengths);
      reference::pull(u, i, others.data(), strengths.data(), static_cast<int64_t>(others.size()), g.d,
                      du + i * g.d);
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
