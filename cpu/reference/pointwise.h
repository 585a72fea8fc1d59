#pragma once
// The loops that define pointwise operations: one formula on one element after another. They are the f64
// path, the TERN_ISA=reference path, and what the vector kernels are tested against.

#include <cstdint>

#include "tern/ops/broadcast.h"

namespace tern::cpu::reference {

template <class T, class F>
void unary_forward(const F& f, const T* x, T* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = f.forward(x[i]);
}

template <class T, class F>
void unary_backward(const F& f, const T* saved, const T* dy, T* dx, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dx[i] = f.backward(saved[i], dy[i]);
}

// body(i, offset in a, offset in b) for the elements [begin, end) of the result.
template <class Body>
void for_each_broadcast(const BroadcastGeometry& g, int64_t begin, int64_t end, const Body& body) {
  for (int64_t i = begin; i < end; ++i) {
    int64_t rest = i, a = 0, b = 0;
    for (int d = g.rank - 1; d >= 0; --d) {
      const auto k = static_cast<size_t>(d);
      a += rest % g.size[k] * g.a_stride[k];
      b += rest % g.size[k] * g.b_stride[k];
      rest /= g.size[k];
    }
    body(i, a, b);
  }
}

template <class T>
void add_in_place(T* a, const T* b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) a[i] += b[i];
}

}  // namespace tern::cpu::reference
