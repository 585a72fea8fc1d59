// Batch normalisation is a question of bytes: every kernel goes through its rows once. Eight rows are taken
// together, one vector of channels at a time, so that a channel's constants and accumulators are loaded once
// for eight elements. What the next eight will write is asked for: a cache line that is written must first be
// had. Sums are in f32 over kPanelSumRows rows, then in f64.

#include "tern/cpu/batch_norm_kernels.h"

#include "tern/cpu/vec_lanes.h"

namespace tern::cpu::TERN_ISA {
namespace {

using V = Vec<float>;
using I = Vec<int32_t>;
using Mask = V::Mask;

constexpr int kRows = 8;

// --- statistics ---

struct Sums {
  float shift[kPanelBlock], first[kPanelBlock], second[kPanelBlock];
};

// shift: the mean of the first rows, near enough to the mean of all that no digits cancel.
template <class T>
void choose_shift(const BatchNormBlock& b, const T* x, int64_t rows, Sums& s) {
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

template <int kN, class T>
TERN_INLINE void add_deviations(const BatchNormBlock& b, const T* x, Sums& s) {
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

template <class T>
void statistics(const BatchNormBlock& b, const T* x, double* mean, double* squares) {
  Sums s;
  for (int64_t c = 0; c < b.channels; ++c) mean[c] = squares[c] = 0;
  for (int64_t begin = 0; begin < b.rows; begin += kPanelSumRows) {
    const int64_t n = b.rows - begin < kPanelSumRows ? b.rows - begin : kPanelSumRows;
    const T* rows = x + begin * b.stride;
    choose_shift(b, rows, n, s);
    int64_t r = 0;
    for (; r + kRows <= n; r += kRows) add_deviations<kRows>(b, rows + r * b.stride, s);
    for (; r < n; ++r) add_deviations<1>(b, rows + r * b.stride, s);
    merge(b, s, begin, n, mean, squares);
  }
}

// --- forward apply ---

// The constants of one vector of channels.
struct Column {
  V shift, scale, bias, slope;
  template <class Lanes>
  TERN_INLINE Column(const BatchNormConstants& of, int64_t c, Lanes lanes, bool prelu)
      : shift(lanes.load(of.shift + c)),
        scale(lanes.load(of.scale + c)),
        bias(lanes.load(of.bias + c)),
        slope(prelu ? lanes.load(of.slope + c) : V(0.0f)) {}
};

template <int kN, Activation kAct, bool kResidual, bool kMask, class T>
TERN_INLINE void apply_rows(const BatchNormBlock& b, const BatchNormApply<T>& a, int64_t row) {
  const int64_t start = row * b.stride;
  int32_t* mask = kMask ? a.mask + row / kPanelMaskRows * b.stride : nullptr;
  const int bit = static_cast<int>(row % kPanelMaskRows);
  over_channels(
      b.channels, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
        const Column k(a.of, c, lanes, kAct == Activation::Prelu);
        I word(0);
        if (kMask && bit > 0) word = lanes.load(mask + c);
        for (int r = 0; r < kN; ++r) {
          const int64_t i = start + r * b.stride + c;
          __builtin_prefetch(a.y + i + kN * b.stride, 1, 3);
          V z = multiply_add(lanes.load(a.x + i) - k.shift, k.scale, k.bias);
          if (kResidual) z += lanes.load(a.residual + i);
          if (kAct != Activation::None) {
            const Mask off = z <= V(0.0f);  // false for NaN, which stays
            if (kMask) word.v |= ~off & static_cast<int32_t>(1u << (bit + r));
            z = select(off, kAct == Activation::Relu ? V(0.0f) : z * k.slope, z);
          }
          lanes.store(z, a.y + i);
        }
        if (kMask) lanes.store(word, mask + c);
      });
}

template <Activation kAct, bool kResidual, bool kMask, class T>
void apply_all(const BatchNormBlock& b, const BatchNormApply<T>& a) {
  int64_t r = 0;
  for (; r + kRows <= b.rows; r += kRows) apply_rows<kRows, kAct, kResidual, kMask>(b, a, r);
  for (; r < b.rows; ++r) apply_rows<1, kAct, kResidual, kMask>(b, a, r);
}

template <class T>
void apply(const BatchNormBlock& b, const BatchNormApply<T>& a) {
  constexpr auto kNone = Activation::None, kRelu = Activation::Relu, kPrelu = Activation::Prelu;
  switch (a.activation) {
    case kNone:
      return a.residual ? apply_all<kNone, true, false>(b, a) : apply_all<kNone, false, false>(b, a);
    case kPrelu:
      return a.residual ? apply_all<kPrelu, true, false>(b, a) : apply_all<kPrelu, false, false>(b, a);
    case kRelu: break;
  }
  if (!a.residual) return apply_all<kRelu, false, false>(b, a);
  return a.mask ? apply_all<kRelu, true, true>(b, a) : apply_all<kRelu, true, false>(b, a);
}

// --- backward ---

// How dy becomes g.
enum class Gate { Open, Mask, Relu, Prelu, PreluResidual };

constexpr bool reads_z(Gate gate) { return gate >= Gate::Relu; }
constexpr bool is_prelu(Gate gate) { return gate >= Gate::Prelu; }

// g of one vector; off_dy_z: what it adds to the gradient of the slope.
template <Gate kGate, class T, class Lanes>
TERN_INLINE V gated(const BatchNormGate<T>& a, const Column& k, I word, int bit, V d, int64_t i, Lanes lanes,
                    V& off_dy_z) {
  const V dy = lanes.load(a.dy + i);
  if (kGate == Gate::Open) return dy;
  if (kGate == Gate::Mask) {
    const Mask on = (word.v & static_cast<int32_t>(1u << bit)) != 0;
    return select(on, dy, V(0.0f));
  }
  V z = multiply_add(d, k.scale, k.bias);
  if (kGate == Gate::PreluResidual) z += lanes.load(a.residual + i);
  const Mask off = z <= V(0.0f);
  if (!is_prelu(kGate)) return select(off, V(0.0f), dy);
  off_dy_z = select(off, dy * z, V(0.0f));
  return select(off, dy * k.slope, dy);
}

struct GateSums {
  float g[kPanelBlock], gx[kPanelBlock], slope[kPanelBlock];
};

template <int kN, Gate kGate, class T>
TERN_INLINE void add_gradients(const BatchNormBlock& b, const BatchNormGate<T>& a, int64_t row, GateSums& s) {
  const int64_t start = row * b.stride;
  const int32_t* mask = kGate == Gate::Mask ? a.mask + row / kPanelMaskRows * b.stride : nullptr;
  const int bit = static_cast<int>(row % kPanelMaskRows);
  over_channels(
      b.channels, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
        const Column k(a.of, c, lanes, is_prelu(kGate));
        V sum_g = lanes.load(s.g + c), sum_gx = lanes.load(s.gx + c), sum_slope(0.0f), term(0.0f);
        if (is_prelu(kGate)) sum_slope = lanes.load(s.slope + c);
        I word(0);
        if (kGate == Gate::Mask) word = lanes.load(mask + c);
        for (int r = 0; r < kN; ++r) {
          const int64_t i = start + r * b.stride + c;
          const V d = lanes.load(a.x + i) - k.shift;
          const V g = gated<kGate>(a, k, word, bit + r, d, i, lanes, term);
          sum_g += g;
          sum_gx = multiply_add(g, d, sum_gx);
          if (is_prelu(kGate)) sum_slope += term;
        }
        lanes.store(sum_g, s.g + c);
        lanes.store(sum_gx, s.gx + c);
        if (is_prelu(kGate)) lanes.store(sum_slope, s.slope + c);
      });
}

template <Gate kGate, class T>
void reduce_all(const BatchNormBlock& b, const BatchNormGate<T>& a, const BatchNormSums& sums) {
  GateSums s;
  const auto each = [&](auto body) {
    for (int64_t c = 0; c < b.channels; ++c) body(c);
  };
  each([&](int64_t c) { sums.g[c] = sums.gx[c] = 0; });
  if (is_prelu(kGate)) each([&](int64_t c) { sums.slope[c] = 0; });
  for (int64_t begin = 0; begin < b.rows; begin += kPanelSumRows) {
    const int64_t end = b.rows - begin < kPanelSumRows ? b.rows : begin + kPanelSumRows;
    each([&](int64_t c) { s.g[c] = s.gx[c] = s.slope[c] = 0; });
    int64_t r = begin;
    for (; r + kRows <= end; r += kRows) add_gradients<kRows, kGate>(b, a, r, s);
    for (; r < end; ++r) add_gradients<1, kGate>(b, a, r, s);
    each([&](int64_t c) {
      sums.g[c] += s.g[c];
      sums.gx[c] += s.gx[c];
    });
    if (is_prelu(kGate)) each([&](int64_t c) { sums.slope[c] += s.slope[c]; });
  }
}

template <class T>
Gate gate_of(const BatchNormGate<T>& a) {
  switch (a.activation) {
    case Activation::None: return Gate::Open;
    case Activation::Relu: return a.mask ? Gate::Mask : Gate::Relu;
    case Activation::Prelu: return a.residual ? Gate::PreluResidual : Gate::Prelu;
  }
  return Gate::Open;
}

template <class T>
void backward_reduce(const BatchNormBlock& b, const BatchNormGate<T>& a, const BatchNormSums& sums) {
  switch (gate_of(a)) {
    case Gate::Open: return reduce_all<Gate::Open>(b, a, sums);
    case Gate::Mask: return reduce_all<Gate::Mask>(b, a, sums);
    case Gate::Relu: return reduce_all<Gate::Relu>(b, a, sums);
    case Gate::Prelu: return reduce_all<Gate::Prelu>(b, a, sums);
    case Gate::PreluResidual: return reduce_all<Gate::PreluResidual>(b, a, sums);
  }
}

template <int kN, Gate kGate, bool kTraining, class T>
TERN_INLINE void backward_rows(const BatchNormBlock& b, const BatchNormGate<T>& a,
                               const BatchNormBackward<T>& to, int64_t row) {
  const int64_t start = row * b.stride;
  const int32_t* mask = kGate == Gate::Mask ? a.mask + row / kPanelMaskRows * b.stride : nullptr;
  const int bit = static_cast<int>(row % kPanelMaskRows);
  over_channels(
      b.channels, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
        const Column k(a.of, c, lanes, is_prelu(kGate));
        const V factor = lanes.load(to.factor + c);
        V tilt(0.0f), offset(0.0f), unused(0.0f);
        if (kTraining) {
          tilt = lanes.load(to.tilt + c);
          offset = lanes.load(to.offset + c);
        }
        I word(0);
        if (kGate == Gate::Mask) word = lanes.load(mask + c);
        for (int r = 0; r < kN; ++r) {
          const int64_t i = start + r * b.stride + c;
          __builtin_prefetch(to.dx + i + kN * b.stride, 1, 3);
          if (to.dresidual) __builtin_prefetch(to.dresidual + i + kN * b.stride, 1, 3);
          V d(0.0f);
          if (kTraining || reads_z(kGate)) d = lanes.load(a.x + i) - k.shift;
          const V g = gated<kGate>(a, k, word, bit + r, d, i, lanes, unused);
          V dx = g * factor;
          if (kTraining) dx += multiply_add(d, tilt, offset);
          lanes.store(dx, to.dx + i);
          if (to.dresidual) lanes.store(g, to.dresidual + i);
        }
      });
}

template <Gate kGate, bool kTraining, class T>
void backward_all(const BatchNormBlock& b, const BatchNormGate<T>& a, const BatchNormBackward<T>& to) {
  int64_t r = 0;
  for (; r + kRows <= b.rows; r += kRows) backward_rows<kRows, kGate, kTraining>(b, a, to, r);
  for (; r < b.rows; ++r) backward_rows<1, kGate, kTraining>(b, a, to, r);
}

template <bool kTraining, class T>
void backward_with(const BatchNormBlock& b, const BatchNormGate<T>& a, const BatchNormBackward<T>& to) {
  switch (gate_of(a)) {
    case Gate::Open: return backward_all<Gate::Open, kTraining>(b, a, to);
    case Gate::Mask: return backward_all<Gate::Mask, kTraining>(b, a, to);
    case Gate::Relu: return backward_all<Gate::Relu, kTraining>(b, a, to);
    case Gate::Prelu: return backward_all<Gate::Prelu, kTraining>(b, a, to);
    case Gate::PreluResidual: return backward_all<Gate::PreluResidual, kTraining>(b, a, to);
  }
}

template <class T>
void backward_apply(const BatchNormBlock& b, const BatchNormGate<T>& a, const BatchNormBackward<T>& to) {
  return to.training ? backward_with<true>(b, a, to) : backward_with<false>(b, a, to);
}

}  // namespace

const BatchNormKernels<float> batch_norm_table = {statistics, apply, backward_reduce, backward_apply};
const BatchNormKernels<bfloat16> batch_norm_bf16_table = {statistics, apply, backward_reduce, backward_apply};

}  // namespace tern::cpu::TERN_ISA
