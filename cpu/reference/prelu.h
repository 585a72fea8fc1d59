#pragma once
// The loops that define PReLU: x[rows,channels], one slope per channel. T is the type of the activations, P
// of the slopes; the slopes' gradient is summed in f64.

#include <cstdint>
#include <vector>

#include "tern/ops/formulas.h"

namespace tern::cpu::reference {

template <class T, class P>
void prelu_forward(int64_t rows, int64_t channels, const T* x, const P* w, T* y) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t i = r * channels + c;
      y[i] = static_cast<T>(Prelu{}.forward(static_cast<P>(x[i]), w[c]));
    }
}

// dx may be dy.
template <class T, class P>
void prelu_backward(int64_t rows, int64_t channels, const T* x, const P* w, const T* dy, T* dx, P* dw) {
  std::vector<double> sums(static_cast<size_t>(channels), 0.0);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t i = r * channels + c;
      const P at = static_cast<P>(x[i]), d = static_cast<P>(dy[i]);
      sums[static_cast<size_t>(c)] += static_cast<double>(Prelu{}.backward_b(at, w[c], d));
      dx[i] = static_cast<T>(Prelu{}.backward_a(at, w[c], d));
    }
  for (int64_t c = 0; c < channels; ++c) dw[c] = static_cast<P>(sums[static_cast<size_t>(c)]);
}

}  // namespace tern::cpu::reference
