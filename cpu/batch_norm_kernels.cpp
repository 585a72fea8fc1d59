#include "tern/cpu/batch_norm_kernels.h"

#include "tern/cpu/vec.h"

namespace tern::cpu::TERN_ISA {
namespace {

using V = Vec<float>;
using I = Vec<int32_t>;

// Eight rows at a time: the channel's constants and accumulators are loaded once for eight elements.
constexpr int kRows = 8;

// How a group of lanes is read and written: a whole vector, or the channels left over at the end of a row.
struct Whole {
  template <class T>
  TERN_INLINE Vec<T> load(const T* p) const {
    return Vec<T>::load(p);
  }
  template <class T>
  TERN_INLINE void store(Vec<T> v, T* p) const {
    v.store(p);
  }
};
struct Partial {
  int64_t n;
  template <class T>
  TERN_INLINE Vec<T> load(const T* p) const {
    return Vec<T>::load_partial(p, n);
  }
  template <class T>
  TERN_INLINE void store(Vec<T> v, T* p) const {
    v.store_partial(p, n);
  }
};

// body(channel, lanes) over the channels of a row, one vector at a time.
template <class Body>
TERN_INLINE void over_channels(int64_t channels, const Body& body) {
  int64_t c = 0;
  for (; c + V::kLanes <= channels; c += V::kLanes) body(c, Whole{});
  if (c < channels) body(c, Partial{channels - c});
}

TERN_INLINE V where_bit(I word, int bit, V v) {
  const typename V::Mask on = (word.v & static_cast<int32_t>(1u << bit)) != 0;
  return select(on, v, V(0.0f));
}

// --- statistics
// ---------------------------------------------------------------------------------------------------

struct Sums {
  float shift[kBatchNormBlock], first[kBatchNormBlock], second[kBatchNormBlock];
};

// shift: the mean of the first rows, near enough to the mean of all that no digits cancel.
void choose_shift(const BatchNormBlock& b, const float* x, int64_t rows, Sums& s) {
  const int64_t n = rows < kRows ? rows : kRows;
  over_channels(
      b.channels, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
        V sum(0.0f);
        for (int64_t r = 0; r < n; ++r) sum += lanes.load(x + r * b.stride + c);
        lanes.store(sum * V(1.0f / static_cast<float>(n)), s.shift + c);
        lanes.store(V(0.0f), s.first + c);
        lanes.store(V(0.0f), s.second + c);
      });
}

template <int kN>
TERN_INLINE void add_deviations(const BatchNormBlock& b, const float* x, Sums& s) {
  over_channels(
      b.channels, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
        const V shift = lanes.load(s.shift + c);
        V first = lanes.load(s.first + c), second = lanes.load(s.second + c);
        for (int r = 0; r < kN; ++r) {
          const V d = lanes.load(x + r * b.stride + c) - shift;
          first += d;
          second = multiply_add(d, d, second);
        }
        lanes.store(first, s.first + c);
        lanes.store(second, s.second + c);
      });
}

// Merges n rows with sums s into the count rows seen so far.
void merge(const BatchNormBlock& b, const Sums& s, int64_t count, int64_t n, double* mean, double* squares) {
  const double inverse = 1.0 / static_cast<double>(n);
  const double share = static_cast<double>(n) / static_cast<double>(count + n);
  const double weight = share * static_cast<double>(count);
  for (int64_t c = 0; c < b.channels; ++c) {
    const double first = s.first[c];
    const double delta = s.shift[c] + first * inverse - mean[c];
    const double own = s.second[c] - first * first * inverse;
    mean[c] += delta * share;
    squares[c] += (own > 0 ? own : own - own) + delta * delta * weight;  // own - own: 0, but NaN stays NaN
  }
}

void statistics(const BatchNormBlock& b, const float* x, double* mean, double* squares) {
  Sums s;
  for (int64_t c = 0; c < b.channels; ++c) mean[c] = squares[c] = 0;
  for (int64_t begin = 0; begin < b.rows; begin += kBatchNormSumRows) {
    const int64_t n = b.rows - begin < kBatchNormSumRows ? b.rows - begin : kBatchNormSumRows;
    const float* rows = x + begin * b.stride;
    choose_shift(b, rows, n, s);
    int64_t r = 0;
    for (; r + kRows <= n; r += kRows) add_deviations<kRows>(b, rows + r * b.stride, s);
    for (; r < n; ++r) add_deviations<1>(b, rows + r * b.stride, s);
    merge(b, s, begin, n, mean, squares);
  }
}

// --- forward apply
// ------------------------------------------------------------------------------------------------

template <int kN, bool kRelu, bool kResidual, bool kMask>
TERN_INLINE void apply_rows(const BatchNormBlock& b, const BatchNormApply& a, int64_t row) {
  const float* x = a.x + row * b.stride;
  float* y = a.y + row * b.stride;
  int32_t* mask = kMask ? a.mask + row / kBatchNormMaskRows * b.stride : nullptr;
  const int bit = static_cast<int>(row % kBatchNormMaskRows);
  over_channels(
      b.channels, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
        const V shift = lanes.load(a.shift + c), scale = lanes.load(a.scale + c),
                bias = lanes.load(a.bias + c);
        I word(0);
        if (kMask && bit > 0) word = lanes.load(mask + c);
        for (int r = 0; r < kN; ++r) {
          V z = multiply_add(lanes.load(x + r * b.stride + c) - shift, scale, bias);
          if (kResidual) z += lanes.load(a.residual + (row + r) * b.stride + c);
          if (kRelu) {
            const typename V::Mask off = z <= V(0.0f);  // false for NaN, which stays
            if (kMask) word.v |= ~off & static_cast<int32_t>(1u << (bit + r));
            z = select(off, V(0.0f), z);
          }
          lanes.store(z, y + r * b.stride + c);
        }
        if (kMask) lanes.store(word, mask + c);
      });
}

template <bool kRelu, bool kResidual, bool kMask>
void apply_all(const BatchNormBlock& b, const BatchNormApply& a) {
  int64_t r = 0;
  for (; r + kRows <= b.rows; r += kRows) apply_rows<kRows, kRelu, kResidual, kMask>(b, a, r);
  for (; r < b.rows; ++r) apply_rows<1, kRelu, kResidual, kMask>(b, a, r);
}

void apply(const BatchNormBlock& b, const BatchNormApply& a) {
  if (a.residual) {
    if (!a.relu) return apply_all<false, true, false>(b, a);
    return a.mask ? apply_all<true, true, true>(b, a) : apply_all<true, true, false>(b, a);
  }
  if (!a.relu) return apply_all<false, false, false>(b, a);
  return a.mask ? apply_all<true, false, true>(b, a) : apply_all<true, false, false>(b, a);
}

// --- backward reduce
// ----------------------------------------------------------------------------------------------

template <int kN, bool kMask>
TERN_INLINE void add_gradients(const BatchNormBlock& b, const BatchNormReduce& a, int64_t row, Sums& s) {
  const float* dy = a.dy + row * b.stride;
  const float* x = a.x + row * b.stride;
  const int32_t* mask = kMask ? a.mask + row / kBatchNormMaskRows * b.stride : nullptr;
  const int bit = static_cast<int>(row % kBatchNormMaskRows);
  over_channels(
      b.channels, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
        const V shift = lanes.load(a.shift + c);
        V first = lanes.load(s.first + c), second = lanes.load(s.second + c);
        I word(0);
        if (kMask) word = lanes.load(mask + c);
        for (int r = 0; r < kN; ++r) {
          V g = lanes.load(dy + r * b.stride + c);
          if (kMask) g = where_bit(word, bit + r, g);
          first += g;
          second = multiply_add(g, lanes.load(x + r * b.stride + c) - shift, second);
        }
        lanes.store(first, s.first + c);
        lanes.store(second, s.second + c);
      });
}

template <bool kMask>
void backward_reduce_all(const BatchNormBlock& b, const BatchNormReduce& a) {
  Sums s;
  for (int64_t c = 0; c < b.channels; ++c) a.sum_g[c] = a.sum_gx[c] = 0;
  for (int64_t begin = 0; begin < b.rows; begin += kBatchNormSumRows) {
    const int64_t end = b.rows - begin < kBatchNormSumRows ? b.rows : begin + kBatchNormSumRows;
    for (int64_t c = 0; c < b.channels; ++c) s.first[c] = s.second[c] = 0;
    int64_t r = begin;
    for (; r + kRows <= end; r += kRows) add_gradients<kRows, kMask>(b, a, r, s);
    for (; r < end; ++r) add_gradients<1, kMask>(b, a, r, s);
    for (int64_t c = 0; c < b.channels; ++c) {
      a.sum_g[c] += s.first[c];
      a.sum_gx[c] += s.second[c];
    }
  }
}

void backward_reduce(const BatchNormBlock& b, const BatchNormReduce& a) {
  return a.mask ? backward_reduce_all<true>(b, a) : backward_reduce_all<false>(b, a);
}

// --- backward apply
// -----------------------------------------------------------------------------------------------

template <int kN, bool kMask, bool kTraining, bool kResidual>
TERN_INLINE void backward_rows(const BatchNormBlock& b, const BatchNormBackwardApply& a, int64_t row) {
  const int64_t start = row * b.stride;
  const int32_t* mask = kMask ? a.mask + row / kBatchNormMaskRows * b.stride : nullptr;
  const int bit = static_cast<int>(row % kBatchNormMaskRows);
  over_channels(
      b.channels, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
        const V scale = lanes.load(a.scale + c);
        V shift(0.0f), slope(0.0f), offset(0.0f);
        if (kTraining) {
          shift = lanes.load(a.shift + c);
          slope = lanes.load(a.slope + c);
          offset = lanes.load(a.offset + c);
        }
        I word(0);
        if (kMask) word = lanes.load(mask + c);
        for (int r = 0; r < kN; ++r) {
          const int64_t i = start + r * b.stride + c;
          V g = lanes.load(a.dy + i);
          if (kMask) g = where_bit(word, bit + r, g);
          V dx = g * scale;
          if (kTraining) dx += multiply_add(lanes.load(a.x + i) - shift, slope, offset);
          lanes.store(dx, a.dx + i);
          if (kResidual) lanes.store(g, a.dresidual + i);
        }
      });
}

template <bool kMask, bool kTraining, bool kResidual>
void backward_all(const BatchNormBlock& b, const BatchNormBackwardApply& a) {
  int64_t r = 0;
  for (; r + kRows <= b.rows; r += kRows) backward_rows<kRows, kMask, kTraining, kResidual>(b, a, r);
  for (; r < b.rows; ++r) backward_rows<1, kMask, kTraining, kResidual>(b, a, r);
}

template <bool kMask, bool kTraining>
void backward_with(const BatchNormBlock& b, const BatchNormBackwardApply& a) {
  return a.dresidual ? backward_all<kMask, kTraining, true>(b, a)
                     : backward_all<kMask, kTraining, false>(b, a);
}

void backward_apply(const BatchNormBlock& b, const BatchNormBackwardApply& a) {
  if (a.mask) return a.x ? backward_with<true, true>(b, a) : backward_with<true, false>(b, a);
  return a.x ? backward_with<false, true>(b, a) : backward_with<false, false>(b, a);
}

}  // namespace

const BatchNormKernels batch_norm_table = {statistics, apply, backward_reduce, backward_apply};

}  // namespace tern::cpu::TERN_ISA
