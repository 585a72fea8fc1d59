#pragma once
// Softmax, log-softmax and cross-entropy of one row of C numbers, as in the headers of the ops. Sums run in
// double.

#include <cmath>
#include <cstdint>

namespace tern::cpu::reference {

template <class T>
T row_max(const T* x, int64_t C) {
  T m = x[0];
  for (int64_t c = 1; c < C; ++c) m = x[c] > m ? x[c] : m;
  return m;
}

template <class T>
T row_exp_sum(const T* x, T m, int64_t C) {
  double s = 0;
  for (int64_t c = 0; c < C; ++c) s += static_cast<double>(std::exp(x[c] - m));
  return static_cast<T>(s);
}

template <class T>
void softmax_row(const T* x, T* y, int64_t C) {
  const T m = row_max(x, C), s = row_exp_sum(x, m, C);
  for (int64_t c = 0; c < C; ++c) y[c] = std::exp(x[c] - m) / s;
}

template <class T>
void softmax_backward_row(const T* y, const T* dy, T* dx, int64_t C) {
  double dot = 0;
  for (int64_t c = 0; c < C; ++c) dot += static_cast<double>(dy[c]) * static_cast<double>(y[c]);
  for (int64_t c = 0; c < C; ++c) dx[c] = y[c] * (dy[c] - static_cast<T>(dot));
}

template <class T>
void log_softmax_row(const T* x, T* y, int64_t C) {
  const T m = row_max(x, C), log_s = std::log(row_exp_sum(x, m, C));
  for (int64_t c = 0; c < C; ++c) y[c] = x[c] - m - log_s;
}

template <class T>
void log_softmax_backward_row(const T* y, const T* dy, T* dx, int64_t C) {
  double sum = 0;
  for (int64_t c = 0; c < C; ++c) sum += static_cast<double>(dy[c]);
  for (int64_t c = 0; c < C; ++c) dx[c] = dy[c] - std::exp(y[c]) * static_cast<T>(sum);
}

// stats = (m, s); returns the loss.
template <class T>
T cross_entropy_row(const T* x, int64_t C, int64_t label, double smoothing, T* stats) {
  const T m = row_max(x, C), s = row_exp_sum(x, m, C);
  stats[0] = m;
  stats[1] = s;
  double sum = 0;
  if (smoothing != 0)
    for (int64_t c = 0; c < C; ++c) sum += static_cast<double>(x[c] - m);
  const double of_label = static_cast<double>(x[label] - m);
  const double smoothed = smoothing != 0 ? smoothing / static_cast<double>(C) * sum : 0;
  return static_cast<T>(std::log(static_cast<double>(s)) - (1 - smoothing) * of_label - smoothed);
}

template <class T>
void cross_entropy_backward_row(const T* x, int64_t C, int64_t label, double smoothing, const T* stats,
                                T dloss, T* dx) {
  const T base = static_cast<T>(smoothing / static_cast<double>(C));
  for (int64_t c = 0; c < C; ++c) dx[c] = dloss * (std::exp(x[c] - stats[0]) / stats[1] - base);
  dx[label] -= dloss * static_cast<T>(1 - smoothing);
}

}  // namespace tern::cpu::reference
