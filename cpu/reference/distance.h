#pragma once
// The loops of the p-norm distances between two rows, in f64. They serve both types: the ops that use them
// (pairwise_distance, triplet_margin_loss) are bound by memory.

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "tern/ops/norm_formulas.h"

namespace tern::cpu::reference {

// |a - b + eps|_p. p = 2 and p = 1 sum over four interleaved partial sums; other powers are relative to the
// largest coordinate, so that none overflows.
template <class T>
double norm_distance(const T* a, const T* b, int64_t d, double p, double eps) {
  const auto z = [&](int64_t k) { return static_cast<double>(a[k]) - static_cast<double>(b[k]) + eps; };
  if (p == 1 || p == 2) {
    const auto term = [&](int64_t k) { return p == 2 ? z(k) * z(k) : std::abs(z(k)); };
    double partial[4] = {0, 0, 0, 0};
    int64_t k = 0;
    for (; k + 4 <= d; k += 4)
      for (int lane = 0; lane < 4; ++lane) partial[lane] += term(k + lane);
    for (int lane = 0; k < d; ++k, ++lane) partial[lane] += term(k);
    const double sum = (partial[0] + partial[2]) + (partial[1] + partial[3]);
    return p == 2 ? std::sqrt(sum) : sum;
  }
  double largest = 0;
  for (int64_t k = 0; k < d; ++k) {
    if (std::isnan(z(k))) return z(k);
    largest = std::max(largest, std::abs(z(k)));
  }
  if (std::isinf(p) || largest == 0 || std::isinf(largest)) return largest;
  double sum = 0;
  for (int64_t k = 0; k < d; ++k) sum += std::pow(std::abs(z(k)) / largest, p);
  return largest * std::pow(sum, 1 / p);
}

// Calls add(k, dd/dz_k) for every coordinate; nothing where the distance is 0.
template <class T, class Add>
void norm_gradient(const T* a, const T* b, int64_t d, double p, double eps, double distance, Add&& add) {
  if (distance == 0) return;
  const auto z = [&](int64_t k) { return static_cast<double>(a[k]) - static_cast<double>(b[k]) + eps; };
  if (p == 2 || p == 1) {
    for (int64_t k = 0; k < d; ++k) add(k, norm_slope(z(k), distance, p, 1));
    return;
  }
  int64_t deciding = 0;
  for (int64_t k = 0; k < d; ++k) deciding += std::abs(z(k)) == distance;
  for (int64_t k = 0; k < d; ++k) add(k, norm_slope(z(k), distance, p, static_cast<double>(deciding)));
}

}  // namespace tern::cpu::reference
