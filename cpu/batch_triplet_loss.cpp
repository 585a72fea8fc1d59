#include "tern/ops/batch_triplet_loss.h"

#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "tern/core/parallel.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/reference/batch_triplet_loss.h"
#include "tern/cpu/triplet_batch.h"
#include "tern/cpu/triplet_gradient.h"
#include "tern/cpu/triplet_row.h"
#include "tern/cpu/triplet_rules.h"
#include "tern/cpu/triplet_stats.h"

namespace tern::cpu {
namespace {

struct Term {
  int64_t positive, negative;
  double squared_ap, squared_an;
};

// The terms of all anchors in one block: an anchor has places for as many as its rule can give. Anchors may
// be filled at the same time.
class FoundTerms {
 public:
  FoundTerms(const BatchTripletGeometry& g, const std::vector<int64_t>& class_sizes)
      : first_(places(g, class_sizes)), count_(class_sizes.size(), 0), terms_(first_.back()) {}

  std::span<Term> of(int64_t anchor) const {
    const auto a = static_cast<size_t>(anchor);
    return {terms_.data() + first_[a], static_cast<size_t>(count_[a])};
  }
  const std::vector<int64_t>& count() const { return count_; }
  void add(int64_t anchor, const Term& term) {
    const auto a = static_cast<size_t>(anchor);
    terms_[first_[a] + count_[a]++] = term;
  }

 private:
  static std::vector<int64_t> places(const BatchTripletGeometry& g, const std::vector<int64_t>& class_sizes) {
    const bool one = g.options.mining == Mining::BatchHard || g.options.mining == Mining::EasyPositive;
    std::vector<int64_t> first{0};
    for (const int64_t members : class_sizes) first.push_back(first.back() + (one ? 1 : members - 1));
    return first;
  }
  std::vector<int64_t> first_, count_;
  Scratch<Term> terms_;
};

// ---- mined rules ----

// used: working memory.
template <class Row>
void mine_into(const BatchTripletGeometry& g, int64_t anchor, Row& row, FoundTerms& found,
               std::vector<int64_t>& used) {
  used.clear();
  mine_anchor(g, anchor, row, [&](int64_t p, int64_t n) {
    found.add(anchor, {p, n, 0, 0});
    used.insert(used.end(), {p, n});
  });
  row.refine(used);
  for (Term& term : found.of(anchor)) {
    term.squared_ap = row.value(term.positive);
    term.squared_an = row.value(term.negative);
  }
}

template <class T>
void mine_naively(const BatchTripletGeometry& g, const T* u, const int64_t* labels, FoundTerms& found) {
  parallel_for(g.n, 1, [&](int64_t begin, int64_t end) {
    std::vector<int64_t> used;
    for (int64_t a = begin; a < end; ++a) {
      reference::TripletRow row(g, u, labels, a);
      mine_into(g, a, row, found, used);
    }
  });
}

void mine_fast(const BatchTripletGeometry& g, const float* u, const int64_t* labels, FoundTerms& found) {
  SortedBatch batch(u, labels, g.n, g.d);
  batch.pack();
  const bool weighted = g.options.mining == Mining::DistanceWeighted;  // by every negative's distance
  parallel_for(batch.tiles(), 1, [&](int64_t begin, int64_t end) {
    SquaredTile squared(batch);
    std::optional<ExactTile> exact;
    if (weighted) exact.emplace(batch);
    FastTripletRow row(g, batch);
    std::vector<int64_t> used;
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t first = tile * batch.tile_rows(), rows = std::min(batch.tile_rows(), g.n - first);
      squared.compute(first, rows);
      if (weighted) exact->compute(first, rows);
      for (int64_t r = 0; r < rows; ++r) {
        if (!batch.has_terms(first + r)) continue;
        row.start(first + r, squared.row(r));
        if (weighted) row.know(exact->row(r));
        mine_into(g, batch.order[static_cast<size_t>(first + r)], row, found, used);
      }
    }
  });
}

BatchTripletTerms collect_terms(const BatchTripletGeometry& g, const FoundTerms& found) {
  PairSample ap(found.count()), an(found.count());
  std::vector<int64_t> first{0};
  for (const int64_t c : found.count()) first.push_back(first.back() + c);

  BatchTripletTerms out;
  out.anchor_sums = Tensor::empty({g.n}, {DType::F64, kCpu});
  out.triplets = Tensor::empty({first.back(), 3}, {DType::I64, kCpu});
  out.slopes = Tensor::empty({first.back(), 2}, {DType::F64, kCpu});
  double* sums = out.anchor_sums.mutable_data<double>();
  int64_t* triplets = out.triplets.mutable_data<int64_t>();
  double* slopes = out.slopes.mutable_data<double>();
  std::vector<AnchorStats> stats(static_cast<size_t>(g.n));
  parallel_for(g.n, 16, [&](int64_t begin, int64_t end) {
    for (int64_t a = begin; a < end; ++a) {
      const std::span<const Term> terms = found.of(a);
      AnchorStats& s = stats[static_cast<size_t>(a)];
      sums[a] = 0;
      for (size_t i = 0; i < terms.size(); ++i) {
        const int64_t t = first[static_cast<size_t>(a)] + static_cast<int64_t>(i);
        const TermValue value(g.options, terms[i].squared_ap, terms[i].squared_an);
        triplets[3 * t] = a;
        triplets[3 * t + 1] = terms[i].positive;
        triplets[3 * t + 2] = terms[i].negative;
        slopes[2 * t] = value.slope * distance_slope(value.d_ap, g.options.distance);
        slopes[2 * t + 1] = value.slope * distance_slope(value.d_an, g.options.distance);
        sums[a] += value.loss;
        s.active += value.loss > 0;
        s.hard += value.hard;
        s.semi_hard += value.semi_hard;
        s.sum_ap += value.d_ap;
        s.sum_an += value.d_an;
      }
      s.terms = s.positive_pairs = s.negative_pairs = static_cast<int64_t>(terms.size());
      const auto term = [&](int64_t i) -> const Term& { return terms[static_cast<size_t>(i)]; };
      ap.take(a, [&](int64_t i) { return distance_of(term(i).squared_ap, g.options.distance); });
      an.take(a, [&](int64_t i) { return distance_of(term(i).squared_an, g.options.distance); });
    }
  });
  out.measures = anchor_measures(stats, ap, an);
  return out;
}

BatchTripletTerms mined_terms(const BatchTripletGeometry& g, const Tensor& u, const int64_t* labels,
                              const std::vector<int64_t>& class_sizes) {
  FoundTerms found(g, class_sizes);
  if (u.dtype() == DType::F64) mine_naively(g, u.data<double>(), labels, found);
  else if (use_reference()) mine_naively(g, u.data<float>(), labels, found);
  else mine_fast(g, u.data<float>(), labels, found);
  return collect_terms(g, found);
}

// ---- all triplets ----

template <class T>
BatchTripletTerms all_triplets_naively(const BatchTripletGeometry& g, const T* u, const int64_t* labels) {
  BatchTripletTerms out;
  out.anchor_sums = Tensor::empty({g.n}, {DType::F64, kCpu});
  double* sums = out.anchor_sums.mutable_data<double>();
  T* coefficients = nullptr;
  if (g.need_gradient) {
    out.coefficients = Tensor::empty({g.n, g.n}, {dtype_of<T>, kCpu});
    coefficients = out.coefficients.template mutable_data<T>();
    out.order = Tensor::empty({g.n}, {DType::I64, kCpu});
    for (int64_t i = 0; i < g.n; ++i) out.order.mutable_data<int64_t>()[i] = i;
  }
  std::vector<AnchorStats> stats(static_cast<size_t>(g.n));
  std::vector<std::vector<double>> d_ap(static_cast<size_t>(g.n)), d_an(static_cast<size_t>(g.n));
  parallel_for(g.n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t a = begin; a < end; ++a) {
      reference::TripletRow row(g, u, labels, a);
      std::vector<int64_t> negatives;
      row.negatives(negatives);
      sums[a] = 0;
      T* c = coefficients ? coefficients + a * g.n : nullptr;
      if (c) std::fill(c, c + g.n, T(0));
      AnchorStats& s = stats[static_cast<size_t>(a)];
      reference::triplet_row(g.options, row, negatives, sums + a, s, c);
      if (s.terms == 0) continue;
      for (const int64_t p : row.positives())
        d_ap[static_cast<size_t>(a)].push_back(distance_of(row.squared(p), g.options.distance));
      for (const int64_t n : negatives)
        d_an[static_cast<size_t>(a)].push_back(distance_of(row.squared(n), g.options.distance));
    }
  });
  std::vector<int64_t> positives, negatives;
  for (size_t a = 0; a < stats.size(); ++a) {
    stats[a].positive_pairs = static_cast<int64_t>(d_ap[a].size());
    stats[a].negative_pairs = static_cast<int64_t>(d_an[a].size());
    for (const double d : d_ap[a]) stats[a].sum_ap += d;
    for (const double d : d_an[a]) stats[a].sum_an += d;
    positives.push_back(stats[a].positive_pairs);
    negatives.push_back(stats[a].negative_pairs);
  }
  PairSample ap(positives), an(negatives);
  for (size_t a = 0; a < stats.size(); ++a) {
    ap.take(static_cast<int64_t>(a), [&](int64_t k) { return d_ap[a][static_cast<size_t>(k)]; });
    an.take(static_cast<int64_t>(a), [&](int64_t k) { return d_an[a][static_cast<size_t>(k)]; });
  }
  out.measures = anchor_measures(stats, ap, an);
  return out;
}

// A loop of integers without a way out becomes vector code.
template <class Bits, class T>
bool all_finite(const T* x, int64_t n) {
  constexpr Bits kExponent = std::bit_cast<Bits>(std::numeric_limits<T>::infinity());
  Bits not_finite = 0;
  for (int64_t i = 0; i < n; ++i) not_finite |= (std::bit_cast<Bits>(x[i]) & kExponent) == kExponent;
  return not_finite == 0;
}

bool all_finite(const Tensor& u) {
  return u.dtype() == DType::F64 ? all_finite<uint64_t>(u.data<double>(), u.numel())
                                 : all_finite<uint32_t>(u.data<float>(), u.numel());
}

}  // namespace

BatchTripletTerms batch_triplet_forward(const BatchTripletGeometry& g, const Tensor& u,
                                        const Tensor& labels) {
  BatchTripletTerms out;
  const int64_t* y = labels.data<int64_t>();
  const std::vector<int64_t> sizes = class_sizes(y, g.n);
  const bool wide = u.dtype() == DType::F64, finite = all_finite(u);
  if (!finite) {
    out.anchor_sums = Tensor::empty({g.n}, {DType::F64, kCpu});
    out.anchor_sums.fill(std::numeric_limits<double>::quiet_NaN());
    out.measures = zero_measures(g.n);
  } else if (g.options.mining == Mining::BatchAll) {
    if (wide) out = all_triplets_naively(g, u.data<double>(), y);
    else
      out =
          use_reference() ? all_triplets_naively(g, u.data<float>(), y) : all_triplets(g, u.data<float>(), y);
  } else {
    out = mined_terms(g, u, y, sizes);
  }
  double* values = out.measures.values.mutable_data<double>();
  int64_t valid = 0;
  for (const int64_t members : sizes) valid += (members - 1) * (g.n - members);
  values[kValid] = static_cast<double>(valid);
  if (finite)
    values[kSquares] =
        wide ? squares_to_mean(u.data<double>(), g.n, g.d) : squares_to_mean(u.data<float>(), g.n, g.d);
  return out;
}

Tensor batch_triplet_mine(const BatchTripletGeometry& g, const Tensor& u, const Tensor& labels) {
  if (!all_finite(u)) return Tensor::empty({0, 3}, {DType::I64, kCpu});
  const int64_t* y = labels.data<int64_t>();
  return mined_terms(g, u, y, class_sizes(y, g.n)).triplets;
}

void batch_triplet_backward(const BatchTripletGeometry& g, const Tensor& u, const BatchTripletTerms& terms,
                            const Tensor& scale, const Tensor& du) {
  if (terms.coefficients.defined()) dense_gradient(g, u, terms, scale, du);
  else if (terms.slopes.defined()) listed_gradient(g, u, terms, scale, du);
  else Tensor(du).fill(std::numeric_limits<double>::quiet_NaN());
}

}  // namespace tern::cpu
