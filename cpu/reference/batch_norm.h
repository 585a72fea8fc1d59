#pragma once
// Batch normalisation, the naive loops: the f64 path, TERN_ISA=reference, and the oracle of the fast kernels.
// Mask bit r % 32 of word (r / 32) C + c says that z[r,c] > 0. T: activations; P: parameters.

#include <cmath>

#include "tern/ops/batch_norm.h"

namespace tern::cpu::reference {

inline double number(double x) { return x; }
inline double number(bfloat16 x) { return static_cast<float>(x); }
inline void put(double x, double& y) { y = x; }
inline void put(double x, float& y) { y = static_cast<float>(x); }
inline void put(double x, bfloat16& y) { y = bfloat16(static_cast<float>(x)); }

inline double inverse_deviation(const BatchNormGeometry& g, double variance) {
  return 1 / std::sqrt(variance + g.eps);
}

// All but x, mean and variance may be null.
template <class T, class P>
struct BatchNormArrays {
  const T* x;
  const P *gamma, *beta;
  const T* residual;
  const P* slope;
  const double *mean, *variance;
  int32_t* mask;

  double z(const BatchNormGeometry& g, int64_t r, int64_t c) const {
    const int64_t i = r * g.channels + c;
    double value = (number(x[i]) - mean[c]) * inverse_deviation(g, variance[c]);
    if (gamma) value *= gamma[c];
    if (beta) value += beta[c];
    if (residual) value += number(residual[i]);
    return value;
  }
  // dy act'(z)
  double gradient(const BatchNormGeometry& g, const T* dy, int64_t r, int64_t c) const {
    const double d = number(dy[r * g.channels + c]);
    if (g.activation == Activation::None) return d;
    const bool on =
        mask ? (static_cast<uint32_t>(mask[r / 32 * g.channels + c]) >> (r % 32)) & 1u : !(z(g, r, c) <= 0);
    return on ? d : g.activation == Activation::Relu ? 0 : slope[c] * d;
  }
};

template <class T>
void batch_norm_statistics(const BatchNormGeometry& g, const T* x, double* mean, double* variance) {
  for (int64_t c = 0; c < g.channels; ++c) {
    double sum = 0, squares = 0;
    for (int64_t r = 0; r < g.rows; ++r) sum += number(x[r * g.channels + c]);
    mean[c] = sum / static_cast<double>(g.rows);
    for (int64_t r = 0; r < g.rows; ++r) {
      const double d = number(x[r * g.channels + c]) - mean[c];
      squares += d * d;
    }
    variance[c] = squares / static_cast<double>(g.rows);
  }
}

template <class T, class P>
void batch_norm_apply(const BatchNormGeometry& g, const BatchNormArrays<T, P>& a, T* y) {
  for (int64_t i = 0; a.mask && i < (g.rows + 31) / 32 * g.channels; ++i) a.mask[i] = 0;
  for (int64_t r = 0; r < g.rows; ++r)
    for (int64_t c = 0; c < g.channels; ++c) {
      const double z = a.z(g, r, c);
      const bool off = g.activation != Activation::None && z <= 0;
      put(!off ? z : g.activation == Activation::Relu ? 0 : a.slope[c] * z, y[r * g.channels + c]);
      if (a.mask && !off) a.mask[r / 32 * g.channels + c] |= static_cast<int32_t>(1u << (r % 32));
    }
}

template <class T, class P>
void batch_norm_backward_reduce(const BatchNormGeometry& g, const T* dy, const BatchNormArrays<T, P>& a,
                                double* sums) {
  double *sum_g = sums, *sum_gx = sums + g.channels, *sum_slope = sums + 2 * g.channels;
  for (int64_t c = 0; c < g.channels; ++c) {
    sum_g[c] = sum_gx[c] = sum_slope[c] = 0;
    for (int64_t r = 0; r < g.rows; ++r) {
      const int64_t i = r * g.channels + c;
      const double d = a.gradient(g, dy, r, c);
      sum_g[c] += d;
      sum_gx[c] += d * (number(a.x[i]) - a.mean[c]);
      if (g.activation != Activation::Prelu) continue;
      const double z = a.z(g, r, c);
      if (z <= 0) sum_slope[c] += number(dy[i]) * z;
    }
  }
}

// dx and dresidual may be null; the sums are not read in evaluation.
template <class T, class P>
void batch_norm_backward_apply(const BatchNormGeometry& g, const T* dy, const BatchNormArrays<T, P>& a,
                               const double* sums, T* dx, T* dresidual) {
  const double m = static_cast<double>(g.rows);
  for (int64_t r = 0; r < g.rows; ++r)
    for (int64_t c = 0; c < g.channels; ++c) {
      const int64_t i = r * g.channels + c;
      const double through = a.gradient(g, dy, r, c);
      const double s = inverse_deviation(g, a.variance[c]);
      double d = through;
      if (g.training) d -= sums[c] / m + (number(a.x[i]) - a.mean[c]) * s * s * sums[g.channels + c] / m;
      if (dresidual) put(through, dresidual[i]);
      if (dx) put((a.gamma ? a.gamma[c] : P(1)) * s * d, dx[i]);
    }
}

}  // namespace tern::cpu::reference
