#include "tern/cpu/pool2d_kernels.h"

#include "tern/cpu/vec.h"

namespace tern::cpu::TERN_ISA {
namespace {

using V = Vec<float>;
using I = Vec<int32_t>;
typedef uint8_t Bytes __attribute__((vector_size(V::kLanes)));

// How a group of lanes is read and written: a whole vector, or the channels left over at the end of a pixel.
struct Whole {
  template <class T>
  TERN_INLINE V load(const T* p) const {
    return V::load(p);
  }
  template <class T>
  TERN_INLINE void store(V v, T* p) const {
    v.store(p);
  }
  // A loop, which g++ turns into one widening load; its conversion of vectors goes through the stack.
  TERN_INLINE I load_bytes(const uint8_t* p) const {
    I r;
    for (int i = 0; i < V::kLanes; ++i) r.v[i] = p[i];
    return r;
  }
  TERN_INLINE void store_bytes(I v, uint8_t* p) const {
    const Bytes bytes = __builtin_convertvector(v.v, Bytes);
    __builtin_memcpy(p, &bytes, sizeof bytes);
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
  TERN_INLINE I load_bytes(const uint8_t* p) const {
    int32_t lane[V::kLanes] = {};
    for (int64_t i = 0; i < n; ++i) lane[i] = p[i];
    return I::load(lane);
  }
  TERN_INLINE void store_bytes(I v, uint8_t* p) const {
    for (int64_t i = 0; i < n; ++i) p[i] = static_cast<uint8_t>(v[static_cast<int>(i)]);
  }
};

template <class Body>
TERN_INLINE void over_channels(int64_t channels, const Body& body) {
  int64_t c = 0;
  for (; c + V::kLanes <= channels; c += V::kLanes) body(c, Whole{});
  if (c < channels) body(c, Partial{channels - c});
}

struct Range {
  int64_t begin, end;
};
// Positions of window o, counted from its own start, that lie inside [0, size).
TERN_INLINE Range inside(const Pool2dSizes& s, int64_t o, int64_t size) {
  const int64_t start = o * s.stride - s.padding;
  return {start < 0 ? -start : 0, start + s.kernel > size ? size - start : s.kernel};
}
// The windows that hold input position i, of `count` windows.
TERN_INLINE Range windows_of(const Pool2dSizes& s, int64_t i, int64_t count) {
  const int64_t p = i + s.padding, first = p - s.kernel + s.stride, last = p / s.stride + 1;
  return {first > 0 ? first / s.stride : 0, last < count ? last : count};
}
TERN_INLINE V divisor(const Pool2dSizes& s, Range h, Range w) {
  return V(
      static_cast<float>(s.count_include_pad ? s.kernel * s.kernel : (h.end - h.begin) * (w.end - w.begin)));
}

template <bool kIndex, class T>
TERN_INLINE void max_row(const Pool2dSizes& s, const T* x, int64_t oh, T* y, uint8_t* index) {
  const Range h = inside(s, oh, s.height);
  for (int64_t ow = 0; ow < s.out_width; ++ow) {
    const Range w = inside(s, ow, s.width);
    const T* window = x + ((oh * s.stride - s.padding) * s.width + ow * s.stride - s.padding) * s.channels;
    over_channels(
        s.channels, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
          V best(-__builtin_inff());
          I where(static_cast<int32_t>(h.begin * s.kernel + w.begin));
          for (int64_t kh = h.begin; kh < h.end; ++kh) {
            for (int64_t kw = w.begin; kw < w.end; ++kw) {
              const V v = lanes.load(window + (kh * s.width + kw) * s.channels + c);
              const typename V::Mask better = (v > best) | (v != v);  // a NaN wins and stays
              best = select(better, v, best);
              if (kIndex) where = select(better, I(static_cast<int32_t>(kh * s.kernel + kw)), where);
            }
          }
          lanes.store(best, y + ow * s.channels + c);
          if (kIndex) lanes.store_bytes(where, index + ow * s.channels + c);
        });
  }
}

template <class T>
void max_forward(const Pool2dSizes& s, const T* x, int64_t oh, T* y, uint8_t* index) {
  return index ? max_row<true, T>(s, x, oh, y, index) : max_row<false, T>(s, x, oh, y, nullptr);
}

constexpr int64_t kAhead = 512;  // elements: dx is asked for before it is written

// What a pixel gets from the windows that hold it: kVectors groups of lanes side by side, so that finding the
// windows costs little beside them.
template <int kVectors, class T, class Lanes>
TERN_INLINE void max_backward_lanes(const Pool2dSizes& s, const T* dy, const uint8_t* index, int64_t ih,
                                    int64_t iw, Range h, Range w, int64_t c, Lanes lanes, T* dx) {
  T* const to = dx + iw * s.channels + c;
  V sum[kVectors];
#pragma GCC unroll 4
  for (int j = 0; j < kVectors; ++j) {
    sum[j] = V(0.0f);
    __builtin_prefetch(to + kAhead + j * V::kLanes, 1, 3);
  }
  for (int64_t oh = h.begin; oh < h.end; ++oh) {
    const int64_t kh = ih + s.padding - oh * s.stride;
    for (int64_t ow = w.begin; ow < w.end; ++ow) {
      const int64_t kw = iw + s.padding - ow * s.stride, o = (oh * s.out_width + ow) * s.channels + c;
      const I position(static_cast<int32_t>(kh * s.kernel + kw));
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) {
        const int64_t at = o + j * V::kLanes;
        sum[j] += select(lanes.load_bytes(index + at) == position, lanes.load(dy + at), V(0.0f));
      }
    }
  }
#pragma GCC unroll 4
  for (int j = 0; j < kVectors; ++j) lanes.store(sum[j], to + j * V::kLanes);
}

template <class T>
void max_backward(const Pool2dSizes& s, const T* dy, const uint8_t* index, int64_t ih, T* dx) {
  constexpr int kVectors = 4;
  const Range h = windows_of(s, ih, s.out_height);
  for (int64_t iw = 0; iw < s.width; ++iw) {
    const Range w = windows_of(s, iw, s.out_width);
    int64_t c = 0;
    for (; c + kVectors * V::kLanes <= s.channels; c += kVectors * V::kLanes)
      max_backward_lanes<kVectors>(s, dy, index, ih, iw, h, w, c, Whole{}, dx);
    for (; c + V::kLanes <= s.channels; c += V::kLanes)
      max_backward_lanes<1>(s, dy, index, ih, iw, h, w, c, Whole{}, dx);
    if (c < s.channels) max_backward_lanes<1>(s, dy, index, ih, iw, h, w, c, Partial{s.channels - c}, dx);
  }
}

template <class T>
void average_forward(const Pool2dSizes& s, const T* x, int64_t oh, T* y) {
  const Range h = inside(s, oh, s.height);
  for (int64_t ow = 0; ow < s.out_width; ++ow) {
    const Range w = inside(s, ow, s.width);
    const T* window = x + ((oh * s.stride - s.padding) * s.width + ow * s.stride - s.padding) * s.channels;
    over_channels(
        s.channels, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
          V sum(0.0f);
          for (int64_t kh = h.begin; kh < h.end; ++kh)
            for (int64_t kw = w.begin; kw < w.end; ++kw)
              sum += lanes.load(window + (kh * s.width + kw) * s.channels + c);
          lanes.store(sum / divisor(s, h, w), y + ow * s.channels + c);
        });
  }
}

template <class T>
void average_backward(const Pool2dSizes& s, const T* dy, int64_t ih, T* dx) {
  const Range h = windows_of(s, ih, s.out_height);
  for (int64_t iw = 0; iw < s.width; ++iw) {
    const Range w = windows_of(s, iw, s.out_width);
    over_channels(
        s.channels, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
          V sum(0.0f);
          for (int64_t oh = h.begin; oh < h.end; ++oh)
            for (int64_t ow = w.begin; ow < w.end; ++ow)
              sum += lanes.load(dy + (oh * s.out_width + ow) * s.channels + c) /
                     divisor(s, inside(s, oh, s.height), inside(s, ow, s.width));
          lanes.store(sum, dx + iw * s.channels + c);
        });
  }
}

// Sums of 64 pixels each are added up, so that the error grows with pixels / 64.
template <class T>
void mean_forward(int64_t pixels, int64_t channels, int64_t stride, const T* x, T* y) {
  constexpr int64_t kRun = 64;
  over_channels(
      channels, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
        V total(0.0f);
        for (int64_t begin = 0; begin < pixels; begin += kRun) {
          const int64_t end = begin + kRun < pixels ? begin + kRun : pixels;
          V sum(0.0f);
          for (int64_t p = begin; p < end; ++p) sum += lanes.load(x + p * stride + c);
          total += sum;
        }
        lanes.store(total / V(static_cast<float>(pixels)), y + c);
      });
}

template <class T>
void mean_backward(int64_t pixels, int64_t channels, int64_t stride, const T* dy, T* dx) {
  over_channels(
      channels, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
        const V d = lanes.load(dy + c) / V(static_cast<float>(pixels));
        for (int64_t p = 0; p < pixels; ++p) lanes.store(d, dx + p * stride + c);
      });
}

template <class T>
constexpr Pool2dKernelsOf<T> kernels_of() {
  return {max_forward<T>,      max_backward<T>, average_forward<T>,
          average_backward<T>, mean_forward<T>, mean_backward<T>};
}

}  // namespace

constinit const Pool2dKernels pool2d_table = {kernels_of<float>(), kernels_of<bfloat16>()};

}  // namespace tern::cpu::TERN_ISA
