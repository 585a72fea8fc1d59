#pragma once
// The definition of convolution and its gradients: the sums of ops/conv2d.h, term by term.

#include <cstdint>

#include "tern/ops/conv2d.h"

namespace tern::cpu::reference {

// Calls term(x offset, w offset, y offset) for every product that takes part in y.
template <class Term>
void conv2d_terms(const Conv2dGeometry& g, Term&& term) {
  for (int64_t n = 0; n < g.n; ++n)
    for (int64_t i = 0; i < g.out_h; ++i)
      for (int64_t j = 0; j < g.out_w; ++j)
        for (int64_t o = 0; o < g.o; ++o)
          for (int64_t p = 0; p < g.kh; ++p)
            for (int64_t q = 0; q < g.kw; ++q) {
              const int64_t h = i * g.stride.h + p * g.dilation.h - g.padding.h;
              const int64_t w = j * g.stride.w + q * g.dilation.w - g.padding.w;
              if (h < 0 || h >= g.h || w < 0 || w >= g.w) continue;
              const int64_t first = o / g.group_out() * g.group_in();
              const int64_t x = ((n * g.h + h) * g.w + w) * g.c + first;
              const int64_t weight = ((o * g.kh + p) * g.kw + q) * g.group_in();
              const int64_t y = ((n * g.out_h + i) * g.out_w + j) * g.o + o;
              for (int64_t c = 0; c < g.group_in(); ++c) term(x + c, weight + c, y);
            }
}

template <class T>
void fill_zero(T* data, int64_t count) {
  for (int64_t i = 0; i < count; ++i) data[i] = 0;
}

template <class T>
void conv2d_forward(const Conv2dGeometry& g, const T* x, const T* w, const T* bias, T* y) {
  for (int64_t pixel = 0; pixel < g.pixels(); ++pixel)
    for (int64_t o = 0; o < g.o; ++o) y[pixel * g.o + o] = bias ? bias[o] : T(0);
  conv2d_terms(g, [=](int64_t xi, int64_t wi, int64_t yi) { y[yi] += x[xi] * w[wi]; });
}

template <class T>
void conv2d_backward_data(const Conv2dGeometry& g, const T* dy, const T* w, T* dx) {
  fill_zero(dx, g.n * g.h * g.w * g.c);
  conv2d_terms(g, [=](int64_t xi, int64_t wi, int64_t yi) { dx[xi] += dy[yi] * w[wi]; });
}

template <class T>
void conv2d_backward_weight(const Conv2dGeometry& g, const T* dy, const T* x, T* dw) {
  fill_zero(dw, g.o * g.patch());
  conv2d_terms(g, [=](int64_t xi, int64_t wi, int64_t yi) { dw[wi] += dy[yi] * x[xi]; });
}

template <class T>
void conv2d_backward_bias(const Conv2dGeometry& g, const T* dy, T* db) {
  fill_zero(db, g.o);
  for (int64_t pixel = 0; pixel < g.pixels(); ++pixel)
    for (int64_t o = 0; o < g.o; ++o) db[o] += dy[pixel * g.o + o];
}

}  // namespace tern::cpu::reference
