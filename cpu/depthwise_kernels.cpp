// Depthwise convolution is a question of bytes: 9 multiply-adds for every number read and written. A row of
// outputs is cut into blocks of four neighbours, for which one vector of channels after the other is computed
// in registers: of 36 products only 18 need a load, since neighbours share their pixels. The rows of the
// image that the taps of the next row share are still in the first- or second-level cache. Outputs whose taps
// leave the image to the left or right, and odd forms (dilation, wide kernels), are computed one by one.

#include "tern/cpu/depthwise_kernels.h"

#include "tern/cpu/vec.h"

namespace tern::cpu::TERN_ISA {
namespace {

using V = Vec<float>;
constexpr int kLanes = V::kLanes;
constexpr int kBlock = 4;  // outputs

struct Whole {
  template <class T>
  TERN_INLINE V load(const T* p) const {
    return V::load(p);
  }
  template <class T>
  TERN_INLINE void store(V v, T* p) const {
    v.store(p);
  }
};
struct Partial {
  int64_t n;
  template <class T>
  TERN_INLINE V load(const T* p) const {
    return V::load_partial(p, n);
  }
  template <class T>
  TERN_INLINE void store(V v, T* p) const {
    v.store_partial(p, n);
  }
};

template <class Body>
TERN_INLINE void over_channels(int64_t channels, const Body& body) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) body(c, Whole{});
  if (c < channels) body(c, Partial{channels - c});
}

// Taps [first, last) that are inside of the image along one axis.
struct Range {
  int64_t first = 0, last;
  TERN_INLINE Range(int64_t position, int64_t taps, int64_t delta, int64_t size) : last(taps) {
    while (first < last && position + first * delta < 0) ++first;
    while (last > first && position + (last - 1) * delta >= size) --last;
  }
};

// The outputs all of whose taps are inside from left to right: [first, last).
struct Interior {
  int64_t first, last;
  TERN_INLINE explicit Interior(const DepthwiseWindow& w) {
    const int64_t room = w.w - 1 - (w.taps_w - 1) * w.delta_w - w.left;  // largest j step
    first = w.left >= 0 ? 0 : (-w.left + w.step - 1) / w.step;
    last = room < 0 ? 0 : room / w.step + 1;
    if (first > w.columns) first = w.columns;
    if (last > w.columns) last = w.columns;
    if (last < first) last = first;
  }
};

template <class Lanes, class T>
TERN_INLINE void finish(const DepthwiseRow<T>& a, V sum, int64_t j, int64_t c, Lanes lanes) {
  if (a.activation != Activation::None) {
    const V below = a.activation == Activation::Relu ? V(0.0f) : sum * lanes.load(a.slope + c);
    sum = select(sum <= V(0.0f), below, sum);
  }
  lanes.store(sum, a.y + j * a.y_pixel + c);
}

// One output, any form.
template <class T>
void pixel(const DepthwiseRow<T>& a, const Range& rows, int64_t j) {
  const DepthwiseWindow& w = a.window;
  const int64_t left = w.left + j * w.step;
  const Range columns(left, w.taps_w, w.delta_w, w.w);
  const int64_t last_row =
      columns.first < columns.last ? rows.last : rows.first;  // else there may be no weights
  over_channels(
      w.channels, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
        V sum = a.bias ? lanes.load(a.bias + c) : V(0.0f);
        for (int64_t p = rows.first; p < last_row; ++p) {
          const T* x = a.x + ((w.top + p * w.delta_h) * w.w + left) * w.channels + c;
          const float* weight = a.weight + p * w.taps_w * w.channels + c;
          for (int64_t q = columns.first; q < columns.last; ++q)
            sum = multiply_add(lanes.load(x + q * w.delta_w * w.channels),
                               lanes.load(weight + q * w.channels), sum);
        }
        finish(a, sum, j, c, lanes);
      });
}

// kCount neighbouring outputs from j on, all inside; taps are neighbours too.
template <int kTaps, int kStep, int kCount, class T>
void block(const DepthwiseRow<T>& a, const Range& rows, int64_t j) {
  const DepthwiseWindow& w = a.window;
  over_channels(
      w.channels, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
        const V start = a.bias ? lanes.load(a.bias + c) : V(0.0f);
        V sum[kCount], weight[kTaps];
#pragma GCC unroll 8
        for (int i = 0; i < kCount; ++i) sum[i] = start;
        for (int64_t p = rows.first; p < rows.last; ++p) {
          const T* x = a.x + ((w.top + p * w.delta_h) * w.w + w.left + j * kStep) * w.channels + c;
#pragma GCC unroll 8
          for (int q = 0; q < kTaps; ++q) weight[q] = lanes.load(a.weight + (p * kTaps + q) * w.channels + c);
#pragma GCC unroll 16
          for (int u = 0; u < (kCount - 1) * kStep + kTaps; ++u) {
            const V value = lanes.load(x + u * w.channels);
#pragma GCC unroll 8
            for (int i = 0; i < kCount; ++i)
              if (u - i * kStep >= 0 && u - i * kStep < kTaps)
                sum[i] = multiply_add(value, weight[u - i * kStep], sum[i]);
          }
        }
#pragma GCC unroll 8
        for (int i = 0; i < kCount; ++i) finish(a, sum[i], j + i, c, lanes);
      });
}

template <int kTaps, int kStep, class T>
void blocks(const DepthwiseRow<T>& a, const Range& rows, int64_t j, int64_t end) {
  for (; j + kBlock <= end; j += kBlock) block<kTaps, kStep, kBlock>(a, rows, j);
  for (; j < end; ++j) block<kTaps, kStep, 1>(a, rows, j);
}

template <class T>
void row(const DepthwiseRow<T>& a) {
  const DepthwiseWindow& w = a.window;
  const Range rows(w.top, w.taps_h, w.delta_h, w.h);
  const Interior inside(w);
  for (int64_t j = 0; j < inside.first; ++j) pixel(a, rows, j);
  const int64_t form = w.delta_w == 1 ? 10 * w.taps_w + w.step : 0;
  switch (form) {
    case 11: blocks<1, 1>(a, rows, inside.first, inside.last); break;
    case 21: blocks<2, 1>(a, rows, inside.first, inside.last); break;
    case 31: blocks<3, 1>(a, rows, inside.first, inside.last); break;
    case 32: blocks<3, 2>(a, rows, inside.first, inside.last); break;
    case 51: blocks<5, 1>(a, rows, inside.first, inside.last); break;
    default:
      for (int64_t j = inside.first; j < inside.last; ++j) pixel(a, rows, j);
  }
  for (int64_t j = inside.last; j < w.columns; ++j) pixel(a, rows, j);
}

// --- the gradient of the weights ---

template <class T>
void gradient_pixel(const DepthwiseGradient<T>& a, const Range& rows, int64_t j) {
  const DepthwiseWindow& w = a.window;
  const int64_t left = w.left + j * w.step;
  const Range columns(left, w.taps_w, w.delta_w, w.w);
  over_channels(
      w.channels, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
        const V dy = lanes.load(a.dy + j * w.channels + c);
        for (int64_t p = rows.first; p < rows.last; ++p) {
          const T* x = a.x + ((w.top + p * w.delta_h) * w.w + left) * w.channels + c;
          float* sums = a.sums + p * w.taps_w * w.channels + c;
          for (int64_t q = columns.first; q < columns.last; ++q) {
            const V value = lanes.load(x + q * w.delta_w * w.channels);
            lanes.store(multiply_add(value, dy, lanes.load(sums + q * w.channels)), sums + q * w.channels);
          }
        }
      });
}

template <int kTaps, int kStep, int kCount, class T>
void gradient_block(const DepthwiseGradient<T>& a, const Range& rows, int64_t j) {
  const DepthwiseWindow& w = a.window;
  over_channels(
      w.channels, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
        V dy[kCount], sum[kTaps];
#pragma GCC unroll 8
        for (int i = 0; i < kCount; ++i) dy[i] = lanes.load(a.dy + (j + i) * w.channels + c);
        for (int64_t p = rows.first; p < rows.last; ++p) {
          const T* x = a.x + ((w.top + p * w.delta_h) * w.w + w.left + j * kStep) * w.channels + c;
          float* sums = a.sums + p * kTaps * w.channels + c;
#pragma GCC unroll 8
          for (int q = 0; q < kTaps; ++q) sum[q] = lanes.load(sums + q * w.channels);
#pragma GCC unroll 16
          for (int u = 0; u < (kCount - 1) * kStep + kTaps; ++u) {
            const V value = lanes.load(x + u * w.channels);
#pragma GCC unroll 8
            for (int i = 0; i < kCount; ++i)
              if (u - i * kStep >= 0 && u - i * kStep < kTaps)
                sum[u - i * kStep] = multiply_add(value, dy[i], sum[u - i * kStep]);
          }
#pragma GCC unroll 8
          for (int q = 0; q < kTaps; ++q) lanes.store(sum[q], sums + q * w.channels);
        }
      });
}

template <int kTaps, int kStep, class T>
void gradient_blocks(const DepthwiseGradient<T>& a, const Range& rows, int64_t j, int64_t end) {
  for (; j + kBlock <= end; j += kBlock) gradient_block<kTaps, kStep, kBlock>(a, rows, j);
  for (; j < end; ++j) gradient_block<kTaps, kStep, 1>(a, rows, j);
}

template <class T>
void gradient(const DepthwiseGradient<T>& a) {
  const DepthwiseWindow& w = a.window;
  const Range rows(w.top, w.taps_h, w.delta_h, w.h);
  const Interior inside(w);
  for (int64_t j = 0; j < inside.first; ++j) gradient_pixel(a, rows, j);
  const int64_t form = w.delta_w == 1 ? 10 * w.taps_w + w.step : 0;
  switch (form) {
    case 31: gradient_blocks<3, 1>(a, rows, inside.first, inside.last); break;
    case 32: gradient_blocks<3, 2>(a, rows, inside.first, inside.last); break;
    case 51: gradient_blocks<5, 1>(a, rows, inside.first, inside.last); break;
    default:
      for (int64_t j = inside.first; j < inside.last; ++j) gradient_pixel(a, rows, j);
  }
  for (int64_t j = inside.last; j < w.columns; ++j) gradient_pixel(a, rows, j);
}

}  // namespace

const DepthwiseKernels<float> depthwise_table = {row, gradient};
const DepthwiseKernels<bfloat16> depthwise_bf16_table = {row, gradient};

}  // namespace tern::cpu::TERN_ISA
