#pragma once
// The loops of l2_normalize. They are also the fast path: the op is bound by memory, and its bits must not
// depend on the instruction set, so it is compiled once.

#include <cmath>
#include <cstdint>

namespace tern::cpu::reference {

// sum a_k b_k in f64 over four interleaved partial sums, combined pairwise: a fixed order that can be
// pipelined.
template <class T>
double dot(const T* a, const T* b, int64_t n) {
  double partial[4] = {0, 0, 0, 0};
  int64_t k = 0;
  for (; k + 4 <= n; k += 4)
    for (int lane = 0; lane < 4; ++lane)
      partial[lane] += static_cast<double>(a[k + lane]) * static_cast<double>(b[k + lane]);
  for (int lane = 0; k < n; ++k, ++lane)
    partial[lane] += static_cast<double>(a[k]) * static_cast<double>(b[k]);
  return (partial[0] + partial[2]) + (partial[1] + partial[3]);
}

template <class T>
void l2_normalize_row(const T* x, int64_t d, double eps, T* y, double* inverse) {
  const double length = std::sqrt(dot(x, x, d));
  const double scale = 1.0 / (length > eps ? length : eps);
  for (int64_t k = 0; k < d; ++k) y[k] = static_cast<T>(static_cast<double>(x[k]) * scale);
  *inverse = length > eps ? scale : 0.0;
}

template <class T>
void l2_normalize_backward_row(const T* dy, const T* y, double inverse, int64_t d, T* dx) {
  const double along = inverse == 0 ? 0.0 : dot(y, dy, d);
  for (int64_t k = 0; k < d; ++k) {
    const double tangent = static_cast<double>(dy[k]) - static_cast<double>(y[k]) * along;
    dx[k] = inverse == 0 ? T(0) : static_cast<T>(tangent * inverse);
  }
}

}  // namespace tern::cpu::reference
