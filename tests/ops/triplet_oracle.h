#pragma once
// The batch triplet loss by brute force, written from the inequalities of ops/batch_triplet_loss.h: for every
// rule, all triplets of the batch are listed and the rule's condition is tested on each. Knows nothing of the
// library's loops.

#include <cmath>
#include <vector>

#include "tern/core/philox.h"
#include "tern/ops/batch_triplet_loss.h"
#include "tern/ops/l2_normalize.h"

namespace tern::test {

struct Triple {
  int64_t a, p, n;
  friend bool operator==(const Triple&, const Triple&) = default;
};
inline std::ostream& operator<<(std::ostream& out, const Triple& t) {
  return out << "(" << t.a << " " << t.p << " " << t.n << ")";
}

class TripletOracle {
 public:
  TripletOracle(const Tensor& e, const Tensor& labels, const BatchTripletOptions& options)
      : options_(options),
        n_(e.size(0)),
        d_(e.size(1)),
        y_(labels.data<int64_t>(), labels.data<int64_t>() + n_) {
    const bool normal = options.normalize || options.distance == Distance::Cosine;
    u_ = (normal ? l2_normalize(e.detach()) : e).to_vector();
    find_terms();
  }

  double squared(int64_t i, int64_t j) const {
    double sum = 0;
    for (int64_t k = 0; k < d_; ++k) {
      const double z = u_[static_cast<size_t>(i * d_ + k)] - u_[static_cast<size_t>(j * d_ + k)];
      sum += z * z;
    }
    return sum;
  }
  double distance(int64_t i, int64_t j) const {
    const double s = squared(i, j);
    return options_.distance == Distance::Euclidean ? std::sqrt(s)
           : options_.distance == Distance::Cosine  ? s / 2
                                                    : s;
  }
  bool valid(int64_t a, int64_t p, int64_t n) const { return a != p && y(a) == y(p) && y(a) != y(n); }
  const std::vector<Triple>& terms() const { return terms_; }

  double term_loss(const Triple& t) const {
    const double gap = distance(t.a, t.p) - distance(t.a, t.n);
    if (!options_.soft_margin) return std::max(0.0, gap + options_.margin);
    return gap > 20 ? gap : std::log1p(std::exp(gap));
  }
  double loss(Reduction reduction) const {
    double sum = 0, active = 0;
    for (const Triple& t : terms_) {
      sum += term_loss(t);
      active += term_loss(t) > 0;
    }
    if (reduction == Reduction::Sum) return sum;
    const double count = reduction == Reduction::Mean ? static_cast<double>(terms_.size()) : active;
    return count == 0 ? 0 : sum / count;
  }
  std::vector<double> anchor_sums() const {
    std::vector<double> sums(static_cast<size_t>(n_), 0.0);
    for (const Triple& t : terms_) sums[static_cast<size_t>(t.a)] += term_loss(t);
    return sums;
  }

 private:
  int64_t y(int64_t i) const { return y_[static_cast<size_t>(i)]; }

  // No other negative of the anchor that fulfils the condition comes before n in (key, index).
  template <class Condition, class Key>
  bool first(int64_t a, int64_t n, Condition condition, Key key) const {
    if (!condition(n)) return false;
    for (int64_t m = 0; m < n_; ++m)
      if (y(m) != y(a) && condition(m) && (key(m) < key(n) || (key(m) == key(n) && m < n))) return false;
    return true;
  }
  bool extreme_positive(int64_t a, int64_t p, double sign) const {
    for (int64_t q = 0; q < n_; ++q) {
      if (q == a || y(q) != y(a)) continue;
      const double mine = sign * squared(a, p), other = sign * squared(a, q);
      if (other < mine || (other == mine && q < p)) return false;
    }
    return true;
  }
  bool drawn(int64_t a, int64_t p, int64_t n, const std::vector<double>& weight) const {
    double total = 0, before = 0;
    for (const double w : weight) total += w;
    for (int64_t m = 0; m < n; ++m) before += weight[static_cast<size_t>(m)];
    const uint32_t bits = Philox{options_.seed, RandomStream::Mining}
                              .block(options_.step, static_cast<uint32_t>(a * n_ + p))
                              .value[0];
    if (options_.mining == Mining::RandomViolator) {
      const double at = static_cast<double>(uniform_below(bits, static_cast<uint32_t>(total)));
      return weight[static_cast<size_t>(n)] > 0 && before <= at && at < before + 1;
    }
    const double at = static_cast<double>(uniform01(bits)) * total;
    return total > 0 && before <= at && at < before + weight[static_cast<size_t>(n)];
  }

  bool chosen(int64_t a, int64_t p, int64_t n) const {
    const auto near = [&](int64_t m) { return squared(a, m); };
    const auto farther = [&](int64_t m) { return squared(a, m) > squared(a, p); };
    switch (options_.mining) {
      case Mining::BatchAll: return true;
      case Mining::BatchHard:
        return extreme_positive(a, p, -1) && first(
                                                 a, n, [](int64_t) { return true; }, near);
      case Mining::EasyPositive: return extreme_positive(a, p, 1) && first(a, n, farther, near);
      case Mining::SemiHard:
        return first(
            a, n, [&](int64_t m) { return farther(m) && distance(a, m) < distance(a, p) + options_.margin; },
            near);
      case Mining::SemiHardOrHardest: {
        bool any = false;
        for (int64_t m = 0; m < n_; ++m) any = any || (y(m) != y(a) && farther(m));
        if (any) return first(a, n, farther, near);
        return first(
            a, n, [](int64_t) { return true; }, [&](int64_t m) { return -squared(a, m); });
      }
      case Mining::RandomViolator:
      case Mining::DistanceWeighted: return chosen_by_weight(a, p, n);
    }
    return false;
  }
  bool chosen_by_weight(int64_t a, int64_t p, int64_t n) const {
    const bool violator = options_.mining == Mining::RandomViolator;
    if (violator && p < a) return false;
    std::vector<double> weight(static_cast<size_t>(n_), 0.0);
    for (int64_t m = 0; m < n_; ++m) {
      if (y(m) == y(a)) continue;
      const double r = std::max(std::sqrt(squared(a, m)), 0.5), dim = static_cast<double>(d_);
      if (violator)
        weight[static_cast<size_t>(m)] = distance(a, m) < distance(a, p) + options_.margin ? 1 : 0;
      else if (r < 1.4)
        weight[static_cast<size_t>(m)] = std::pow(r, 2 - dim) * std::pow(1 - r * r / 4, (3 - dim) / 2);
    }
    return drawn(a, p, n, weight);
  }

  void find_terms() {
    for (int64_t a = 0; a < n_; ++a)
      for (int64_t p = 0; p < n_; ++p)
        for (int64_t n = 0; n < n_; ++n)
          if (valid(a, p, n) && chosen(a, p, n)) terms_.push_back({a, p, n});
  }

  BatchTripletOptions options_;
  int64_t n_, d_;
  std::vector<int64_t> y_;
  std::vector<double> u_;
  std::vector<Triple> terms_;
};

inline std::vector<Triple> triples(const MinedTriplets& mined) {
  std::vector<Triple> list;
  for (size_t i = 0; i < mined.anchor.size(); ++i)
    list.push_back({mined.anchor[i], mined.positive[i], mined.negative[i]});
  return list;
}

}  // namespace tern::test
