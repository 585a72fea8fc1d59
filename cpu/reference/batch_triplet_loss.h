#pragma once
// The naive loops of the batch triplet loss: every distance of an anchor's row directly in f64, every rule
// and every triplet by plain loops. The f64 path and TERN_ISA=reference.

#include <cstdint>
#include <span>
#include <vector>

#include "tern/cpu/reference/squared_distance.h"
#include "tern/cpu/triplet_rules.h"
#include "tern/cpu/triplet_stats.h"

namespace tern::cpu::reference {

// One anchor's exact squared distances to all samples, with the questions mining asks (cpu/triplet_rules.h).
class TripletRow {
 public:
  template <class T>
  TripletRow(const BatchTripletGeometry& g, const T* u, const int64_t* labels, int64_t anchor)
      : options_(g.options) {
    for (int64_t j = 0; j < g.n; ++j) {
      squared_.push_back(squared_distance(u + anchor * g.d, u + j * g.d, g.d));
      if (labels[j] != labels[anchor]) negatives_.push_back(j);
      else if (j != anchor) positives_.push_back(j);
    }
  }

  std::span<const int64_t> positives() const { return positives_; }
  double squared(int64_t j) const { return squared_[static_cast<size_t>(j)]; }
  double value(int64_t j) const { return squared(j); }
  void refine(std::span<const int64_t>) const {}
  int64_t farthest_positive() const { return farthest(positives_); }
  int64_t farthest_negative() const { return farthest(negatives_); }
  int64_t nearest_positive() const { return nearest(positives_, -1); }
  int64_t nearest_negative(int64_t beyond) const {
    return nearest(negatives_, beyond < 0 ? -1 : squared(beyond));
  }
  bool closer(int64_t n, int64_t p) const {
    const Distance distance = options_.distance;
    return distance_of(squared(n), distance) < distance_of(squared(p), distance) + options_.margin;
  }
  template <class Choose>
  int64_t violator(int64_t p, Choose&& choose) const {
    std::vector<int64_t> found;
    for (const int64_t n : negatives_)
      if (closer(n, p)) found.push_back(n);
    return found.empty() ? -1 : found[static_cast<size_t>(choose(static_cast<int64_t>(found.size())))];
  }
  void negatives(std::vector<int64_t>& out) const { out = negatives_; }

 private:
  int64_t farthest(const std::vector<int64_t>& from) const {
    int64_t best = -1;
    for (const int64_t j : from)
      if (best < 0 || squared(j) > squared(best)) best = j;
    return best;
  }
  int64_t nearest(const std::vector<int64_t>& from, double x) const {
    int64_t best = -1;
    for (const int64_t j : from)
      if (squared(j) > x && (best < 0 || squared(j) < squared(best))) best = j;
    return best;
  }
  const BatchTripletOptions& options_;
  std::vector<double> squared_;
  std::vector<int64_t> positives_, negatives_;
};

// All triplets of one anchor: adds to its sum and counts; coefficients: the anchor's row [n], zero before, or
// null.
template <class T>
void triplet_row(const BatchTripletOptions& options, const TripletRow& row,
                 std::span<const int64_t> negatives, double* sum, AnchorStats& stats, T* coefficients) {
  for (const int64_t p : row.positives())
    for (const int64_t n : negatives) {
      const TermValue term(options, row.squared(p), row.squared(n));
      *sum += term.loss;
      stats.terms += 1;
      stats.active += term.loss > 0;
      stats.hard += term.hard;
      stats.semi_hard += term.semi_hard;
      if (!coefficients) continue;
      coefficients[p] += static_cast<T>(term.slope * distance_slope(term.d_ap, options.distance));
      coefficients[n] -= static_cast<T>(term.slope * distance_slope(term.d_an, options.distance));
    }
}

// du_i = sum_j (w_i C_ij + w_j C_ji) (u_i - u_j)
template <class T>
void dense_gradient_row(const T* u, const T* c, const double* w, int64_t n, int64_t d, int64_t i, T* du) {
  std::vector<double> sum(static_cast<size_t>(d), 0.0);
  for (int64_t j = 0; j < n; ++j) {
    const double s = w[i] * static_cast<double>(c[i * n + j]) + w[j] * static_cast<double>(c[j * n + i]);
    for (int64_t k = 0; k < d && s != 0; ++k)
      sum[static_cast<size_t>(k)] +=
          s * (static_cast<double>(u[i * d + k]) - static_cast<double>(u[j * d + k]));
  }
  for (int64_t k = 0; k < d; ++k) du[k] = static_cast<T>(sum[static_cast<size_t>(k)]);
}

// du_i = sum_t c_t (u_i - u_{j_t})
template <class T>
void pull(const T* u, int64_t i, const int32_t* j, const double* c, int64_t count, int64_t d, T* du) {
  std::vector<double> sum(static_cast<size_t>(d), 0.0);
  for (int64_t t = 0; t < count; ++t)
    for (int64_t k = 0; k < d; ++k)
      sum[static_cast<size_t>(k)] +=
          c[t] * (static_cast<double>(u[i * d + k]) - static_cast<double>(u[j[t] * d + k]));
  for (int64_t k = 0; k < d; ++k) du[k] = static_cast<T>(sum[static_cast<size_t>(k)]);
}

}  // namespace tern::cpu::reference
