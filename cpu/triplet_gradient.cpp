#include "tern/cpu/triplet_gradient.h"

#include <algorithm>

#include "tern/core/parallel.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/reference/batch_triplet_loss.h"
#include "tern/cpu/triplet_batch.h"

namespace tern::cpu {
namespace {

// du = diag(rowsum(S)) u - S u, in the order of the coefficients, then put back.
void dense_gradient_fast(const BatchTripletGeometry& g, const float* u, const float* c, const int64_t* order,
                         const double* scale, float* du) {
  const int64_t blocks = (g.n + kRowQuantum - 1) / kRowQuantum, padded = blocks * kRowQuantum;
  Scratch<float> sorted(g.n * g.d);
  std::vector<float> w(static_cast<size_t>(padded), 0.0f);
  for (int64_t i = 0; i < g.n; ++i) {
    std::copy_n(u + order[i] * g.d, g.d, sorted.data() + i * g.d);
    w[static_cast<size_t>(i)] = static_cast<float>(scale[order[i]]);
  }
  PackedB b(g.n, g.d);
  b.pack(sorted.data(), g.d, false);
  const int64_t tile_rows = gemm_kernels().by_rows.rows;
  parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    const Scratch<float> packed(kMaxTileRows * kRowStride), product(kMaxTileRows * g.d),
        s(kRowQuantum * padded);
    double sums[kRowQuantum];
    float* out[kMaxTileRows];
    for (int64_t r = 0; r < kMaxTileRows; ++r) out[r] = product.data() + r * g.d;
    for (int64_t block = begin; block < end; ++block) {
      triplet_kernels().symmetric_rows(c, w.data(), blocks, block, s.data(), sums);
      const int64_t first = block * kRowQuantum, count = std::min(kRowQuantum, g.n - first);
      for (int64_t inside = 0; inside < count; inside += tile_rows) {
        const int64_t rows = std::min(tile_rows, count - inside);
        const float* mine = s.data() + inside * padded;
        multiply_tile(b, rows, packed.data(), out, [&](int64_t k, int64_t depth, float* to) {
          gemm_kernels().pack_rows(mine + k, padded, rows, depth, to);
        });
        for (int64_t r = 0; r < rows; ++r) {
          const double sum = sums[inside + r];
          const float* self = sorted.data() + (first + inside + r) * g.d;
          float* target = du + order[first + inside + r] * g.d;
          for (int64_t k = 0; k < g.d; ++k)
            target[k] =
                static_cast<float>(sum * static_cast<double>(self[k]) - static_cast<double>(out[r][k]));
        }
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

// Who pulls at each sample and how strongly: first the terms of which it is the anchor, then those of other
// anchors that use it, each in the order of the terms. One list, in which the pulls at sample i are
// [first(i), first(i + 1)): made by counting, in blocks of terms that know where their entries begin.
template <class C>
class Pulls {
 public:
  Pulls(const BatchTripletTerms& terms, const double* scale, int64_t n)
      : triplets_(terms.triplets.data<int64_t>()),
        slopes_(terms.slopes.data<double>()),
        scale_(scale),
        terms_(terms.triplets.size(0)),
        n_(n),
        next_(2 * kBlocks * n),
        first_(n + 1),
        other_(4 * terms_),
        strength_(4 * terms_) {
    parallel_for(kBlocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) count_block(block);
    });
    int64_t at = 0;
    for (int64_t i = 0; i < n; ++i) {
      first_.data()[i] = at;
      for (const int64_t role : {0, 1})
        for (int64_t block = 0; block < kBlocks; ++block) {
          int64_t& next = next_of(block, role)[i];
          const int64_t count = next;
          next = at;
          at += count;
        }
    }
    first_.data()[n] = at;
    parallel_for(kBlocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) list_block(block);
    });
  }
  int64_t count(int64_t i) const { return first_.data()[i + 1] - first_.data()[i]; }
  const int32_t* others(int64_t i) const { return other_.data() + first_.data()[i]; }
  const C* strengths(int64_t i) const { return strength_.data() + first_.data()[i]; }

 private:
  static constexpr int64_t kBlocks = 8;

  // Of a block: how many entries each sample has as anchor (role 0) and as positive or negative (role 1),
  // later where the next goes.
  int64_t* next_of(int64_t block, int64_t role) { return next_.data() + (2 * block + role) * n_; }
  template <class Visit>
  void for_each_active(int64_t block, Visit&& visit) const {
    for (int64_t t = block * terms_ / kBlocks; t < (block + 1) * terms_ / kBlocks; ++t)
      if (slopes_[2 * t] != 0 || slopes_[2 * t + 1] != 0)
        visit(triplets_[3 * t], triplets_ + 3 * t + 1, slopes_ + 2 * t);
  }
  void count_block(int64_t block) {
    int64_t *own = next_of(block, 0), *used = next_of(block, 1);
    std::fill_n(own, 2 * n_, 0);
    for_each_active(block, [&](int64_t anchor, const int64_t* pair, const double*) {
      own[anchor] += 2;
      ++used[pair[0]];
      ++used[pair[1]];
    });
  }
  void list_block(int64_t block) {
    int64_t *own = next_of(block, 0), *used = next_of(block, 1);
    for_each_active(block, [&](int64_t anchor, const int64_t* pair, const double* slope) {
      for (int side = 0; side < 2; ++side) {
        const auto c = static_cast<C>((side == 0 ? 1 : -1) * scale_[anchor] * slope[side]);
        put(own[anchor]++, pair[side], c);
        put(used[pair[side]]++, anchor, c);
      }
    });
  }
  void put(int64_t at, int64_t sample, C c) {
    other_.data()[at] = static_cast<int32_t>(sample);
    strength_.data()[at] = c;
  }

  const int64_t* triplets_;
  const double *slopes_, *scale_;
  int64_t terms_, n_;
  Scratch<int64_t> next_, first_;
  Scratch<int32_t> other_;
  Scratch<C> strength_;
};

template <class T>
void listed_gradient_naive(const BatchTripletGeometry& g, const T* u, const Pulls<double>& pulls, T* du) {
  parallel_for(g.n, 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      reference::pull(u, i, pulls.others(i), pulls.strengths(i), pulls.count(i), g.d, du + i * g.d);
  });
}

void listed_gradient_fast(const BatchTripletGeometry& g, const float* u, const Pulls<float>& pulls,
                          float* du) {
  parallel_for(g.n, 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      triplet_kernels().pull(u + i * g.d, u, g.d, pulls.others(i), pulls.strengths(i), pulls.count(i), g.d,
                             du + i * g.d);
  });
}

}  // namespace

void dense_gradient(const BatchTripletGeometry& g, const Tensor& u, const BatchTripletTerms& terms,
                    const Tensor& scale, const Tensor& du) {
  const Tensor& c = terms.coefficients;
  const double* w = scale.data<double>();
  if (u.dtype() == DType::F64)
    return dense_gradient_naive(g, u.data<double>(), c.data<double>(), w, du.mutable_data<double>());
  if (c.shape().rank() == 2)
    return dense_gradient_naive(g, u.data<float>(), c.data<float>(), w, du.mutable_data<float>());
  dense_gradient_fast(g, u.data<float>(), c.data<float>(), terms.order.data<int64_t>(), w,
                      du.mutable_data<float>());
}

void listed_gradient(const BatchTripletGeometry& g, const Tensor& u, const BatchTripletTerms& terms,
                     const Tensor& scale, const Tensor& du) {
  const double* w = scale.data<double>();
  if (u.dtype() == DType::F64)
    return listed_gradient_naive(g, u.data<double>(), Pulls<double>(terms, w, g.n),
                                 du.mutable_data<double>());
  if (use_reference())
    return listed_gradient_naive(g, u.data<float>(), Pulls<double>(terms, w, g.n), du.mutable_data<float>());
  listed_gradient_fast(g, u.data<float>(), Pulls<float>(terms, w, g.n), du.mutable_data<float>());
}

}  // namespace tern::cpu
