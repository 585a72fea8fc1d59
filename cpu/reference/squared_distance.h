#pragma once
// The squared distance that decides: sum_k (a_k - b_k)^2 in f64, k ascending, compiled once and without
// contraction, so that it has the same bits everywhere. A sum beyond the range of f64 is its largest number,
// never infinity.

#include <algorithm>
#include <cstdint>
#include <limits>

namespace tern::cpu::reference {

inline constexpr double kLargestSquare = std::numeric_limits<double>::max();

template <class T>
double squared_distance(const T* a, const T* b, int64_t d) {
  double sum = 0;
  for (int64_t k = 0; k < d; ++k) {
    const double z = static_cast<double>(a[k]) - static_cast<double>(b[k]);
    sum += z * z;
  }
  return std::min(sum, kLargestSquare);
}

// Four of them at once, to hide the latency of the additions.
template <class T>
void squared_distances(const T* a, const T* const b[4], int64_t d, double out[4]) {
  double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  for (int64_t k = 0; k < d; ++k) {
    const double x = static_cast<double>(a[k]);
    const double z0 = x - static_cast<double>(b[0][k]), z1 = x - static_cast<double>(b[1][k]);
    const double z2 = x - static_cast<double>(b[2][k]), z3 = x - static_cast<double>(b[3][k]);
    s0 += z0 * z0;
    s1 += z1 * z1;
    s2 += z2 * z2;
    s3 += z3 * z3;
  }
  out[0] = std::min(s0, kLargestSquare);
  out[1] = std::min(s1, kLargestSquare);
  out[2] = std::min(s2, kLargestSquare);
  out[3] = std::min(s3, kLargestSquare);
}

}  // namespace tern::cpu::reference
