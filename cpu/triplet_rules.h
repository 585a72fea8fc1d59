#pragma once
// The mining rules of ops/batch_triplet_loss.h, written once over a Row: one anchor's exact squared
// distances. The naive row (cpu/reference/) has them all; the fast one (cpu/triplet_batch.h) computes only
// those that can decide.
//
//   struct Row {
//     std::span<const int64_t> positives();       // ascending
//     double squared(int64_t j);                  // exact
//     int64_t farthest_positive(), nearest_positive();
//     int64_t nearest_negative_above(double x);   // argmin { squared(n) : squared(n) > x }
//     int64_t farthest_negative();
//     void violators(double limit, Distance, std::vector<int64_t>& out);  // n with d < limit, ascending
//     void negatives(std::vector<int64_t>& out);  // ascending
//   };
// What does not exist is -1; equals go to the lowest index.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tern/core/philox.h"
#include "tern/ops/batch_triplet_loss.h"
#include "tern/ops/triplet_formulas.h"

namespace tern::cpu {

inline double distance_of(double squared, Distance distance) {
  if (distance == Distance::Euclidean) return std::sqrt(squared);
  return distance == Distance::Cosine ? 0.5 * squared : squared;
}

// g of the header: the gradient of d_ij with respect to u_i is g (u_i - u_j). Capped so that sums of it fit
// f32.
inline double distance_slope(double d, Distance distance) {
  if (distance == Distance::Euclidean) return d > 0 ? std::min(1 / d, 1e30) : 0;
  return distance == Distance::Cosine ? 1 : 2;
}

inline uint32_t mining_bits(const BatchTripletGeometry& g, int64_t anchor, int64_t positive) {
  return Philox{g.options.seed, RandomStream::Mining}
      .block(g.options.step, static_cast<uint32_t>(anchor * g.n + positive))
      .value[0];
}

// The running sums of w over the anchor's negatives. Weights are relative to the largest, so none overflows.
template <class Row>
struct NegativeWeights {
  NegativeWeights(const BatchTripletGeometry& g, Row& row) {
    row.negatives(index);
    double largest = -HUGE_VAL;
    for (const int64_t n : index) {
      const double r = std::max(std::sqrt(row.squared(n)), 0.5), dim = static_cast<double>(g.d);
      const double log_w =
          r >= 1.4 ? -HUGE_VAL : (2 - dim) * std::log(r) + (3 - dim) / 2 * std::log(1 - r * r / 4);
      sums.push_back(log_w);
      largest = std::max(largest, log_w);
    }
    double total = 0;
    for (double& w : sums) w = total += largest == -HUGE_VAL ? 0 : std::exp(w - largest);
  }
  int64_t draw(uint32_t bits) const {
    const double at = sums.empty() ? 0 : static_cast<double>(uniform01(bits)) * sums.back();
    for (size_t i = 0; i < sums.size(); ++i)
      if (sums[i] > at) return index[i];
    return -1;
  }
  std::vector<int64_t> index;
  std::vector<double> sums;
};

// n for the pair (anchor, p), or -1.
template <class Row>
int64_t mine_negative(const BatchTripletGeometry& g, int64_t anchor, int64_t p, Row& row) {
  const double d_ap = distance_of(row.squared(p), g.options.distance);
  switch (g.options.mining) {
    case Mining::SemiHard: {
      const int64_t n = row.nearest_negative_above(row.squared(p));
      return n >= 0 && distance_of(row.squared(n), g.options.distance) < d_ap + g.options.margin ? n : -1;
    }
    case Mining::SemiHardOrHardest: {
      const int64_t n = row.nearest_negative_above(row.squared(p));
      return n >= 0 ? n : row.farthest_negative();
    }
    case Mining::RandomViolator: {
      if (p < anchor) return -1;
      std::vector<int64_t> found;
      row.violators(d_ap + g.options.margin, g.options.distance, found);
      if (found.empty()) return -1;
      return found[uniform_below(mining_bits(g, anchor, p), static_cast<uint32_t>(found.size()))];
    }
    default: return -1;
  }
}

// Calls emit(p, n) for every term of the anchor, p ascending.
template <class Row, class Emit>
void mine_anchor(const BatchTripletGeometry& g, int64_t anchor, Row& row, Emit&& emit) {
  if (g.options.mining == Mining::BatchHard || g.options.mining == Mining::EasyPositive) {
    const bool hard = g.options.mining == Mining::BatchHard;
    const int64_t p = hard ? row.farthest_positive() : row.nearest_positive();
    if (p < 0) return;
    const int64_t n = row.nearest_negative_above(hard ? -1 : row.squared(p));
    if (n >= 0) emit(p, n);
    return;
  }
  if (g.options.mining == Mining::DistanceWeighted) {
    if (row.positives().empty()) return;
    const NegativeWeights<Row> weights(g, row);
    for (const int64_t p : row.positives()) {
      const int64_t n = weights.draw(mining_bits(g, anchor, p));
      if (n >= 0) emit(p, n);
    }
    return;
  }
  for (const int64_t p : row.positives()) {
    const int64_t n = mine_negative(g, anchor, p, row);
    if (n >= 0) emit(p, n);
  }
}

// One term's loss and slope, with the counts it belongs to.
struct TermValue {
  TermValue(const BatchTripletOptions& options, double squared_ap, double squared_an)
      : d_ap(distance_of(squared_ap, options.distance)), d_an(distance_of(squared_an, options.distance)) {
    const double gap = d_ap - d_an;
    const TripletHinge hinge{options.margin};
    loss = options.soft_margin ? TripletSoft{}.value(gap) : hinge.value(gap);
    slope = options.soft_margin ? TripletSoft{}.slope(gap) : hinge.slope(gap);
    hard = squared_an <= squared_ap;
    semi_hard = !hard && d_an < d_ap + options.margin;
  }
  double d_ap, d_an, loss, slope;
  bool hard, semi_hard;
};

}  // namespace tern::cpu
