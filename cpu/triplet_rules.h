#pragma once
// The mining rules of ops/batch_triplet_loss.h, written once over a Row: one anchor's distances. The naive
// row (cpu/reference/) computes them all; the fast one (cpu/triplet_row.h) only those that can decide.
//
//   struct Row {
//     std::span<const int64_t> positives();            // ascending
//     int64_t farthest_positive(), nearest_positive(), farthest_negative();
//     int64_t nearest_negative(int64_t beyond);        // argmin { d_an : d_an > d(beyond) }; -1: of all
//     bool closer(int64_t n, int64_t p);               // d_an < d_ap + margin
//     int64_t violator(int64_t p, Choose);             // of the n with closer(n, p), ascending: which one,
//                                                      // chosen by their number
//     void negatives(std::vector<int64_t>& out);       // ascending
//     double squared(int64_t j);                       // exact
//     double value(int64_t j);                         // the same to rounding in f64
//     void refine(std::span<const int64_t>);           // their values will be asked for
//   };
// What does not exist is -1; equals go to the lowest index.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tern/cpu/exact_kernels.h"
#include "tern/cpu/isa.h"
#include "tern/ops/mining_formulas.h"

namespace tern::cpu {

// The running sums of w over the anchor's negatives.
template <class Row>
struct NegativeWeights {
  NegativeWeights(const BatchTripletGeometry& g, Row& row) {
    index.reserve(static_cast<size_t>(g.n));
    row.negatives(index);
    const auto n = static_cast<int64_t>(index.size());
    sums.reserve(index.size());
    for (const int64_t j : index) sums.push_back(row.squared(j));
    if (use_reference()) {
      double largest = -HUGE_VAL;
      for (double& s : sums) s = log_weight(s, g.d), largest = std::max(largest, s);
      for (double& s : sums) s = relative_weight(s, largest);
    } else {
      const double largest = exact_kernels().log_weights(sums.data(), n, g.d);
      exact_kernels().relative_weights(sums.data(), n, largest);
    }
    double before = 0, inside = 0;
    for (size_t i = 0; i < sums.size(); ++i) {
      if (i > 0 && index[i] / kWeightBlock != index[i - 1] / kWeightBlock) {
        before += inside;
        inside = 0;
      }
      inside += sums[i];
      sums[i] = before + inside;
    }
  }
  int64_t draw(uint32_t bits) const {
    const double at = sums.empty() ? 0 : static_cast<double>(uniform01(bits)) * sums.back();
    const auto found = std::upper_bound(sums.begin(), sums.end(), at);  // the sums never fall
    return found == sums.end() ? -1 : index[static_cast<size_t>(found - sums.begin())];
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
      return row.violator(p, [&](int64_t count) -> int64_t {
        return uniform_below(mining_bits(g.options.seed, g.options.step, g.n, anchor, p),
                             static_cast<uint32_t>(count));
      });
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
      const int64_t n = weights.draw(mining_bits(g.options.seed, g.options.step, g.n, anchor, p));
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

}  // namespace tern::cpu
