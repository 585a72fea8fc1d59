#pragma once
// Instance normalisation, the naive loops: the f64 path, TERN_ISA=reference, and the oracle of the fast path.
// T: activations; P: parameters. x is [images, positions, channels].

#include "tern/cpu/reference/batch_norm.h"
#include "tern/ops/instance_norm.h"

namespace tern::cpu::reference {

// body(first element of channel c of image n, index of its mean, index of its variance, c): positions follow
// each other at a distance of `channels`. Sums lie as statistics do.
template <class Body>
void for_each_instance(const InstanceNormGeometry& g, const Body& body) {
  for (int64_t n = 0; n < g.images; ++n)
    for (int64_t c = 0; c < g.channels; ++c)
      body(n * g.positions * g.channels + c, 2 * n * g.channels + c, (2 * n + 1) * g.channels + c, c);
}

// gamma and beta may be null.
template <class T, class P>
void instance_norm_forward(const InstanceNormGeometry& g, const T* x, const P* gamma, const P* beta,
                           double* statistics, T* y) {
  const double m = static_cast<double>(g.positions);
  for_each_instance(g, [&](int64_t first, int64_t mean, int64_t variance, int64_t c) {
    double sum = 0, squares = 0;
    for (int64_t p = 0; p < g.positions; ++p) sum += number(x[first + p * g.channels]);
    statistics[mean] = sum / m;
    for (int64_t p = 0; p < g.positions; ++p) {
      const double d = number(x[first + p * g.channels]) - statistics[mean];
      squares += d * d;
    }
    statistics[variance] = squares / m;
    const double s = 1 / std::sqrt(statistics[variance] + g.eps);
    for (int64_t p = 0; p < g.positions; ++p) {
      const double xhat = (number(x[first + p * g.channels]) - statistics[mean]) * s;
      put((gamma ? gamma[c] : P(1)) * xhat + (beta ? beta[c] : P(0)), y[first + p * g.channels]);
    }
  });
}

// gamma and dx may be null; dx may be dy.
template <class T, class P>
void instance_norm_backward(const InstanceNormGeometry& g, const T* dy, const T* x, const P* gamma,
                            const double* statistics, double* sums, T* dx) {
  const double m = static_cast<double>(g.positions);
  for_each_instance(g, [&](int64_t first, int64_t mean, int64_t variance, int64_t c) {
    double sum = 0, sum_d = 0;
    for (int64_t p = 0; p < g.positions; ++p) {
      const int64_t i = first + p * g.channels;
      sum += number(dy[i]);
      sum_d += number(dy[i]) * (number(x[i]) - statistics[mean]);
    }
    sums[mean] = sum;
    sums[variance] = sum_d;
    const double s = 1 / std::sqrt(statistics[variance] + g.eps);
    for (int64_t p = 0; dx && p < g.positions; ++p) {
      const int64_t i = first + p * g.channels;
      const double xhat = (number(x[i]) - statistics[mean]) * s;
      put((gamma ? gamma[c] : P(1)) * s * (number(dy[i]) - sum / m - xhat * s * sum_d / m), dx[i]);
    }
  });
}

template <class P>
void instance_norm_backward_parameters(const InstanceNormGeometry& g, const double* statistics,
                                       const double* sums, P* dgamma, P* dbeta) {
  for (int64_t c = 0; c < g.channels; ++c) {
    double gamma = 0, beta = 0;
    for (int64_t n = 0; n < g.images; ++n) {
      const int64_t mean = 2 * n * g.channels + c, variance = mean + g.channels;
      beta += sums[mean];
      gamma += sums[variance] / std::sqrt(statistics[variance] + g.eps);
    }
    dgamma[c] = static_cast<P>(gamma);
    dbeta[c] = static_cast<P>(beta);
  }
}

}  // namespace tern::cpu::reference
