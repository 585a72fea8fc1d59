#pragma once
// Batch normalisation, the naive loops: the f64 path, TERN_ISA=reference, and the oracle of the fast kernels.
// Mask bit r % 32 of word (r / 32) C + c says that z[r,c] > 0.

#include <cmath>

#include "tern/ops/batch_norm.h"

namespace tern::cpu::reference {

inline bool batch_norm_passes(const BatchNormGeometry& g, const int32_t* mask, int64_t row, int64_t c) {
  return !g.relu || ((static_cast<uint32_t>(mask[row / 32 * g.channels + c]) >> (row % 32)) & 1u);
}

inline double inverse_deviation(const BatchNormGeometry& g, double variance) {
  return 1 / std::sqrt(variance + g.eps);
}

template <class T>
void batch_norm_statistics(const BatchNormGeometry& g, const T* x, double* mean, double* variance) {
  for (int64_t c = 0; c < g.channels; ++c) {
    double sum = 0, squares = 0;
    for (int64_t r = 0; r < g.rows; ++r) sum += x[r * g.channels + c];
    mean[c] = sum / static_cast<double>(g.rows);
    for (int64_t r = 0; r < g.rows; ++r) {
      const double d = x[r * g.channels + c] - mean[c];
      squares += d * d;
    }
    variance[c] = squares / static_cast<double>(g.rows);
  }
}

// gamma, beta, residual and mask may be null.
template <class T>
void batch_norm_apply(const BatchNormGeometry& g, const T* x, const T* gamma, const T* beta,
                      const T* residual, const double* mean, const double* variance, T* y, int32_t* mask) {
  if (mask) {
    for (int64_t i = 0; i < (g.rows + 31) / 32 * g.channels; ++i) mask[i] = 0;
  }
  for (int64_t r = 0; r < g.rows; ++r) {
    for (int64_t c = 0; c < g.channels; ++c) {
      const int64_t i = r * g.channels + c;
      double z = (x[i] - mean[c]) * inverse_deviation(g, variance[c]);
      if (gamma) z *= gamma[c];
      if (beta) z += beta[c];
      if (residual) z += residual[i];
      const bool off = g.relu && z <= 0;
      y[i] = static_cast<T>(off ? 0 : z);
      if (mask && !off) mask[r / 32 * g.channels + c] |= static_cast<int32_t>(1u << (r % 32));
    }
  }
}

template <class T>
void batch_norm_backward_reduce(const BatchNormGeometry& g, const T* dy, const T* x, const double* mean,
                                const int32_t* mask, double* sum_g, double* sum_gx) {
  for (int64_t c = 0; c < g.channels; ++c) {
    sum_g[c] = sum_gx[c] = 0;
    for (int64_t r = 0; r < g.rows; ++r) {
      if (!batch_norm_passes(g, mask, r, c)) continue;
      const int64_t i = r * g.channels + c;
      sum_g[c] += dy[i];
      sum_gx[c] += dy[i] * (x[i] - mean[c]);
    }
  }
}

// dx and dresidual may be null; the sums are not read in evaluation.
template <class T>
void batch_norm_backward_apply(const BatchNormGeometry& g, const T* dy, const T* x, const T* gamma,
                               const double* mean, const double* variance, const int32_t* mask,
                               const double* sum_g, const double* sum_gx, T* dx, T* dresidual) {
  const double m = static_cast<double>(g.rows);
  for (int64_t r = 0; r < g.rows; ++r) {
    for (int64_t c = 0; c < g.channels; ++c) {
      const int64_t i = r * g.channels + c;
      const double masked = batch_norm_passes(g, mask, r, c) ? dy[i] : 0;
      const double s = inverse_deviation(g, variance[c]);
      double d = masked;
      if (g.training) d -= sum_g[c] / m + (x[i] - mean[c]) * s * s * sum_gx[c] / m;
      if (dx) dx[i] = static_cast<T>((gamma ? gamma[c] : T(1)) * s * d);
      if (dresidual) dresidual[i] = static_cast<T>(masked);
    }
  }
}

}  // namespace tern::cpu::reference
