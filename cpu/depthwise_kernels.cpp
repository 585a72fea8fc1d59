// Depthwise convolution is a question of bytes: 9 multiply-adds for every number read and written. A row of
// outputs is cut into blocks of four neighbours, for which one vector of channels after the other is computed
// in registers: of 36 products only 18 need a load, since neighbours share their pixels. The rows of the
// image that the taps of the next row share are still in the first- or second-level cache. In the first and
// last block of a row the pixels outside of the image are left out. Odd forms (dilation, wide kernels) are
// computed one by one.

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

// Which of the pixels that a block reads in a row are outside of the image.
enum class Edge : uint8_t { None, First, Last, Any };

// kCount neighbouring outputs, named by a type.
template <int kCount, Edge kEdge>
struct Block {};

// The part of the columns from `first` on that is inside of the image.
struct Inside {
  int64_t from, to;  // in the image: from <= u < to
  TERN_INLINE Inside(int64_t first, int64_t width) : from(first < 0 ? -first : 0), to(width - first) {}
  TERN_INLINE Edge edge(int64_t pixels) const {
    const bool whole = to >= pixels;
    if (from == 0) return whole ? Edge::None : to == pixels - 1 ? Edge::Last : Edge::Any;
    return from == 1 && whole ? Edge::First : Edge::Any;
  }
  template <Edge kEdge>
  TERN_INLINE bool outside(int u, int pixels) const {
    if (kEdge == Edge::None) return false;
    if (kEdge == Edge::First) return u == 0;
    if (kEdge == Edge::Last) return u == pixels - 1;
    return u < from || u >= to;
  }
};

// Calls body with a block's length and edge as constants, for all of a row's outputs.
template <int kTaps, int kStep, class Body>
TERN_INLINE void over_blocks(const DepthwiseWindow& w, const Body& body) {
  int64_t j = 0;
  for (; j + kBlock <= w.columns; j += kBlock) {
    switch (Inside(w.left + j * kStep, w.w).edge((kBlock - 1) * kStep + kTaps)) {
      case Edge::None: body(j, Block<kBlock, Edge::None>{}); break;
      case Edge::First: body(j, Block<kBlock, Edge::First>{}); break;
      case Edge::Last: body(j, Block<kBlock, Edge::Last>{}); break;
      case Edge::Any: body(j, Block<kBlock, Edge::Any>{}); break;
    }
  }
  if (w.columns - j == 3) body(j, Block<3, Edge::Any>{});
  if (w.columns - j == 2) body(j, Block<2, Edge::Any>{});
  if (w.columns - j == 1) body(j, Block<1, Edge::Any>{});
}

// The outputs from j on. A copy of the fields that it takes, like every loop below: for all that the compiler
// knows a store may change what a reference leads to, and it would read that again for every vector.
template <class T>
struct Outputs {
  TERN_INLINE Outputs(const DepthwiseRow<T>& a, int64_t j)
      : y(a.y + j * a.y_pixel), y_pixel(a.y_pixel), slope(a.slope), activation(a.activation) {}
  template <class Lanes>
  TERN_INLINE void finish(V sum, int64_t i, int64_t c, Lanes lanes) const {
    if (activation != Activation::None) {
      const V below = activation == Activation::Relu ? V(0.0f) : sum * lanes.load(slope + c);
      sum = select(sum <= V(0.0f), below, sum);
    }
    lanes.store(sum, y + i * y_pixel + c);
  }
  // What the block after one of kCount outputs will write.
  template <int kCount>
  TERN_INLINE void ask_for_next(int64_t c) const {
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) __builtin_prefetch(y + (kCount + i) * y_pixel + c, 1, 3);
  }
  T* y;
  int64_t y_pixel;
  const float* slope;
  Activation activation;
};

// One output, any form.
template <class T>
void pixel(const DepthwiseRow<T>& a, const Range& rows, int64_t j) {
  const DepthwiseWindow& w = a.window;
  const int64_t left = w.left + j * w.step;
  const Range columns(left, w.taps_w, w.delta_w, w.w);
  const Outputs<T> outputs(a, j);
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
        outputs.finish(sum, 0, c, lanes);
      });
}

// What the next row of outputs will be the first to read: kStep rows of x. A block reads six streams side by
// side within a page or two, more than the processor recognises, so it asks for them, vector by vector.
template <int kStep, int kCount, class T>
struct NextRows {
  TERN_INLINE NextRows(const T* x, const DepthwiseWindow& w, int64_t column)
      : pixel(w.channels), line(w.w * w.channels) {
    const int64_t row = w.top + (w.taps_h - 1) * w.delta_h + 1;
    if (row >= 0 && row + kStep <= w.h && column >= 0) at = x + row * line + column * pixel;
  }
  TERN_INLINE void prefetch(int64_t c) const {
    if (!at) return;
#pragma GCC unroll 2
    for (int s = 0; s < kStep; ++s)
#pragma GCC unroll 16
      for (int i = 0; i < kCount * kStep; ++i) __builtin_prefetch(at + s * line + i * pixel + c, 0, 3);
  }
  int64_t pixel, line;
  const T* at = nullptr;
};

// The number of rows of taps for which a block is compiled with that number as a constant, or 0.
template <int kTaps, Edge kEdge>
constexpr int kAllRows = kTaps == 3 && kEdge != Edge::Any ? kTaps : 0;

// kCount neighbouring outputs from j on; taps are neighbours too. kRows: the rows of taps inside of the
// image, or 0: as many as there are. Not inlined: a profile tells the forms apart.
template <int kTaps, int kStep, int kCount, Edge kEdge, int kRows, class T>
[[gnu::noinline]] void block(const DepthwiseRow<T>& a, const Range& rows, int64_t j) {
  constexpr int kPixels = (kCount - 1) * kStep + kTaps;
  const DepthwiseWindow& w = a.window;
  const int64_t left = w.left + j * kStep, pixel = w.channels, line = w.delta_h * w.w * pixel;
  const int64_t count = kRows > 0 ? kRows : rows.last - rows.first;
  const T* const first = a.x + ((w.top + rows.first * w.delta_h) * w.w + left) * pixel;
  const float *const weights = a.weight + rows.first * kTaps * pixel, *const bias = a.bias;
  const Inside inside(left, w.w);
  const Outputs<T> outputs(a, j);
  const NextRows<kStep, kCount, T> next(a.x, w, left + kTaps / 2);
  over_channels(
      pixel, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
        next.prefetch(c);
        outputs.template ask_for_next<kCount>(c);
        const V start = bias ? lanes.load(bias + c) : V(0.0f);
        V sum[kCount], weight[kTaps];
#pragma GCC unroll 8
        for (int i = 0; i < kCount; ++i) sum[i] = start;
        const T* x = first + c;
        const float* from = weights + c;
#pragma GCC unroll 4
        for (int64_t p = 0; p < count; ++p, x += line, from += kTaps * pixel) {
#pragma GCC unroll 8
          for (int q = 0; q < kTaps; ++q) weight[q] = lanes.load(from + q * pixel);
#pragma GCC unroll 16
          for (int u = 0; u < kPixels; ++u) {
            if (inside.template outside<kEdge>(u, kPixels)) continue;
            const V value = lanes.load(x + u * pixel);
#pragma GCC unroll 8
            for (int i = 0; i < kCount; ++i)
              if (u - i * kStep >= 0 && u - i * kStep < kTaps)
                sum[i] = multiply_add(value, weight[u - i * kStep], sum[i]);
          }
        }
#pragma GCC unroll 8
        for (int i = 0; i < kCount; ++i) outputs.finish(sum[i], i, c, lanes);
      });
}

template <int kTaps, int kStep, class T>
void blocks(const DepthwiseRow<T>& a, const Range& rows) {
  over_blocks<kTaps, kStep>(a.window, [&]<int kCount, Edge kEdge>(int64_t j, Block<kCount, kEdge>) {
    constexpr int kRows = kAllRows<kTaps, kEdge>;
    if (rows.last - rows.first == kRows) block<kTaps, kStep, kCount, kEdge, kRows>(a, rows, j);
    else block<kTaps, kStep, kCount, kEdge, 0>(a, rows, j);
  });
}

template <class T>
void row(const DepthwiseRow<T>& a) {
  const DepthwiseWindow& w = a.window;
  const Range rows(w.top, w.taps_h, w.delta_h, w.h);
  switch (w.delta_w == 1 ? 10 * w.taps_w + w.step : 0) {
    case 11: return blocks<1, 1>(a, rows);
    case 21: return blocks<2, 1>(a, rows);
    case 31: return blocks<3, 1>(a, rows);
    case 32: return blocks<3, 2>(a, rows);
    case 51: return blocks<5, 1>(a, rows);
    default:
      for (int64_t j = 0; j < w.columns; ++j) pixel(a, rows, j);
  }
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

template <int kTaps, int kStep, int kCount, Edge kEdge, int kRows, class T>
[[gnu::noinline]] void gradient_block(const DepthwiseGradient<T>& a, const Range& rows, int64_t j) {
  constexpr int kPixels = (kCount - 1) * kStep + kTaps;
  const DepthwiseWindow& w = a.window;
  const int64_t left = w.left + j * kStep, pixel = w.channels, line = w.delta_h * w.w * pixel;
  const int64_t count = kRows > 0 ? kRows : rows.last - rows.first;
  const T *const first = a.x + ((w.top + rows.first * w.delta_h) * w.w + left) * pixel,
                 *const dy_first = a.dy + j * pixel, *const dy_next = dy_first + w.columns * pixel;
  float* const sums_first = a.sums + rows.first * kTaps * pixel;
  const Inside inside(left, w.w);
  const NextRows<kStep, kCount, T> next(a.x, w, left + kTaps / 2);
  over_channels(
      pixel, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
        next.prefetch(c);
        if (next.at) {
#pragma GCC unroll 8
          for (int i = 0; i < kCount; ++i) __builtin_prefetch(dy_next + i * pixel + c, 0, 3);
        }
        V dy[kCount], sum[kTaps];
#pragma GCC unroll 8
        for (int i = 0; i < kCount; ++i) dy[i] = lanes.load(dy_first + i * pixel + c);
        const T* x = first + c;
        float* sums = sums_first + c;
#pragma GCC unroll 4
        for (int64_t p = 0; p < count; ++p, x += line, sums += kTaps * pixel) {
#pragma GCC unroll 8
          for (int q = 0; q < kTaps; ++q) sum[q] = lanes.load(sums + q * pixel);
#pragma GCC unroll 16
          for (int u = 0; u < kPixels; ++u) {
            if (inside.template outside<kEdge>(u, kPixels)) continue;
            const V value = lanes.load(x + u * pixel);
#pragma GCC unroll 8
            for (int i = 0; i < kCount; ++i)
              if (u - i * kStep >= 0 && u - i * kStep < kTaps)
                sum[u - i * kStep] = multiply_add(value, dy[i], sum[u - i * kStep]);
          }
#pragma GCC unroll 8
          for (int q = 0; q < kTaps; ++q) lanes.store(sum[q], sums + q * pixel);
        }
      });
}

template <int kTaps, int kStep, class T>
void gradient_blocks(const DepthwiseGradient<T>& a, const Range& rows) {
  over_blocks<kTaps, kStep>(a.window, [&]<int kCount, Edge kEdge>(int64_t j, Block<kCount, kEdge>) {
    constexpr int kRows = kAllRows<kTaps, kEdge>;
    if (rows.last - rows.first == kRows) gradient_block<kTaps, kStep, kCount, kEdge, kRows>(a, rows, j);
    else gradient_block<kTaps, kStep, kCount, kEdge, 0>(a, rows, j);
  });
}

template <class T>
void gradient(const DepthwiseGradient<T>& a) {
  const DepthwiseWindow& w = a.window;
  const Range rows(w.top, w.taps_h, w.delta_h, w.h);
  switch (w.delta_w == 1 ? 10 * w.taps_w + w.step : 0) {
    case 31: return gradient_blocks<3, 1>(a, rows);
    case 32: return gradient_blocks<3, 2>(a, rows);
    case 51: return gradient_blocks<5, 1>(a, rows);
    default:
      for (int64_t j = 0; j < w.columns; ++j) gradient_pixel(a, rows, j);
  }
}

}  // namespace

const DepthwiseKernels<float> depthwise_table = {row, gradient};
const DepthwiseKernels<bfloat16> depthwise_bf16_table = {row, gradient};

}  // namespace tern::cpu::TERN_ISA
