#pragma once
// The mining rules of ops/batch_triplet_loss.h, written once over a Row: one anchor's distances. The naive
// row (cpu/reference/) computes them all; the fast one (cpu/triplet_row.h) only those that can decide.
//
//   struct Row {
//     std::span<const int64_t> positives();                  // ascending
//     int64_t farthest_positive(), nearest_positive(), farthest_negative();
//     int64_t nearest_negative(int64_t beyond);              // argmin { d_an : d_an > d(beyond) }; -1: of
//     all bool closer(int64_t n, int64_t p);                     // d_an < d_ap + margin void
//     violators(int64_t p, std::vector<int64_t>& out);  // all n with closer(n, p), in any order void
//     negatives(std::vector<int64_t>& out);             // ascending double squared(int64_t j); // exact
//     double value(int64_t j);                               // the same to rounding in f64
//     void refine(std::span<const int64_t>);                 // their values will be asked for
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

inline double square_of(double d, Distance distance) {
  if (distance == Distance::Euclidean) return d * d;
  return distance == Distance::Cosine ? 2 * d : d;
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
  switch (g.options.mining) {
    case Mining::SemiHard: {
      const int64_t n = row.nearest_negative(p);
      return n >= 0 && row.closer(n, p) ? n : -1;
    }
    case Mining::SemiHardOrHardest: {
      const int64_t n = row.nearest_negative(p);
      return n >= 0 ? n : row.farthest_negative();
    }
    case Mining::RandomViolator: {
      if (p < anchor) return -1;
      std::vector<int64_t> found;
      row.violators(p, found);
      if (found.empty()) return -1;
      const auto at = uniform_below(mining_bits(g, anchor, p), static_cast<uint32_t>(found.size()));
      std::nth_element(found.begin(), found.begin() + at, found.end());
      return found[at];
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
    const int64_t n = row.nearest_negative(hard ? -1 : p);
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
  row.refine(row.positives());
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
