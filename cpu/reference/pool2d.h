#pragma once
// Pooling, the naive loops: each output visits its window; backward scatters in the same order.

#include <algorithm>
#include <limits>

#include "tern/ops/pool2d.h"

namespace tern::cpu::reference {

// fn(output index, input index, position in the window) over every pixel of every window, and
// start(output index, pixels in the window, first position) before each window.
template <class Start, class Fn>
void for_windows(const Pool2dGeometry& g, const Start& start, const Fn& fn) {
  for (int64_t n = 0; n < g.images; ++n)
    for (int64_t oh = 0; oh < g.out_height; ++oh)
      for (int64_t ow = 0; ow < g.out_width; ++ow)
        for (int64_t c = 0; c < g.channels; ++c) {
          const int64_t o = ((n * g.out_height + oh) * g.out_width + ow) * g.channels + c;
          const int64_t top = oh * g.stride - g.padding, left = ow * g.stride - g.padding;
          const int64_t h0 = std::max<int64_t>(top, 0), h1 = std::min(top + g.kernel, g.height);
          const int64_t w0 = std::max<int64_t>(left, 0), w1 = std::min(left + g.kernel, g.width);
          start(o, (h1 - h0) * (w1 - w0), (h0 - top) * g.kernel + (w0 - left));
          for (int64_t h = h0; h < h1; ++h)
            for (int64_t w = w0; w < w1; ++w)
              fn(o, ((n * g.height + h) * g.width + w) * g.channels + c, (h - top) * g.kernel + (w - left));
        }
}

template <class T>
void max_pool2d_forward(const Pool2dGeometry& g, const T* x, T* y, uint8_t* index) {
  for_windows(
      g,
      [&](int64_t o, int64_t, int64_t first) {
        y[o] = -std::numeric_limits<T>::infinity();
        if (index) index[o] = static_cast<uint8_t>(first);
      },
      [&](int64_t o, int64_t i, int64_t position) {
        if (!(x[i] > y[o] || x[i] != x[i])) return;
        y[o] = x[i];
        if (index) index[o] = static_cast<uint8_t>(position);
      });
}

template <class T>
void max_pool2d_backward(const Pool2dGeometry& g, const T* dy, const uint8_t* index, T* dx) {
  std::fill_n(dx, g.input_shape().numel(), T(0));
  for_windows(
      g, [](int64_t, int64_t, int64_t) {},
      [&](int64_t o, int64_t i, int64_t position) {
        if (index[o] == position) dx[i] += dy[o];
      });
}

template <class T>
void avg_pool2d_forward(const Pool2dGeometry& g, const T* x, T* y) {
  double divisor = 0;
  for_windows(
      g,
      [&](int64_t o, int64_t pixels, int64_t) {
        y[o] = 0;
        divisor = static_cast<double>(g.count_include_pad ? g.kernel * g.kernel : pixels);
      },
      [&](int64_t o, int64_t i, int64_t) { y[o] += static_cast<T>(x[i] / divisor); });
}

template <class T>
void avg_pool2d_backward(const Pool2dGeometry& g, const T* dy, T* dx) {
  std::fill_n(dx, g.input_shape().numel(), T(0));
  double divisor = 0;
  for_windows(
      g,
      [&](int64_t, int64_t pixels, int64_t) {
        divisor = static_cast<double>(g.count_include_pad ? g.kernel * g.kernel : pixels);
      },
      [&](int64_t o, int64_t i, int64_t) { dx[i] += static_cast<T>(dy[o] / divisor); });
}

template <class T>
void global_avg_pool2d_forward(int64_t images, int64_t pixels, int64_t channels, const T* x, T* y) {
  for (int64_t n = 0; n < images; ++n)
    for (int64_t c = 0; c < channels; ++c) {
      double sum = 0;
      for (int64_t p = 0; p < pixels; ++p) sum += x[(n * pixels + p) * channels + c];
      y[n * channels + c] = static_cast<T>(sum / static_cast<double>(pixels));
    }
}

template <class T>
void global_avg_pool2d_backward(int64_t images, int64_t pixels, int64_t channels, const T* dy, T* dx) {
  for (int64_t i = 0; i < images * pixels * channels; ++i)
    dx[i] = dy[i / (pixels * channels) * channels + i % channels] / static_cast<T>(pixels);
}

}  // namespace tern::cpu::reference
