// PReLU is a question of bytes: forward reads x and writes y, backward reads x and dy once and gives both
// gradients. Eight rows are taken together, one vector of channels at a time, and what the next eight will
// write is asked for, as in batch_norm_kernels.cpp. The slope's sums are in f32 over kPanelSumRows rows, then
// in f64.

#include "tern/cpu/prelu_kernels.h"

#include "tern/cpu/panel_sizes.h"
#include "tern/cpu/vec_lanes.h"
#include "tern/ops/formulas.h"

namespace tern::cpu::TERN_ISA {
namespace {

using V = Vec<float>;

constexpr int kRows = 8;

template <int kN, class T>
TERN_INLINE void forward_rows(const PreluBlock& b, const T* x, const float* slope, T* y) {
  over_channels(
      b.channels, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
        const V w = lanes.load(slope + c);
        for (int r = 0; r < kN; ++r) {
          const int64_t i = r * b.stride + c;
          __builtin_prefetch(y + i + kN * b.stride, 1, 3);
          lanes.store(Prelu{}.forward(lanes.load(x + i), w), y + i);
        }
      });
}

template <class T>
void forward(const PreluBlock& b, const T* x, const float* slope, T* y) {
  int64_t r = 0;
  for (; r + kRows <= b.rows; r += kRows) forward_rows<kRows>(b, x + r * b.stride, slope, y + r * b.stride);
  for (; r < b.rows; ++r) forward_rows<1>(b, x + r * b.stride, slope, y + r * b.stride);
}

template <int kN, class T>
TERN_INLINE void backward_rows(const PreluBlock& b, const T* x, const float* slope, const T* dy, T* dx,
                               float* sums) {
  over_channels(
      b.channels, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
        const V w = lanes.load(slope + c);
        V sum = lanes.load(sums + c);
        for (int r = 0; r < kN; ++r) {
          const int64_t i = r * b.stride + c;
          __builtin_prefetch(dx + i + kN * b.stride, 1, 3);
          const V at = lanes.load(x + i), d = lanes.load(dy + i);
          sum += Prelu{}.backward_b(at, w, d);
          lanes.store(Prelu{}.backward_a(at, w, d), dx + i);
        }
        lanes.store(sum, sums + c);
      });
}

template <class T>
void backward(const PreluBlock& b, const T* x, const float* slope, const T* dy, T* dx, double* dslope) {
  float sums[kPanelBlock];
  for (int64_t c = 0; c < b.channels; ++c) dslope[c] = 0;
  for (int64_t begin = 0; begin < b.rows; begin += kPanelSumRows) {
    const int64_t end = b.rows - begin < kPanelSumRows ? b.rows : begin + kPanelSumRows;
    for (int64_t c = 0; c < b.channels; ++c) sums[c] = 0;
    int64_t r = begin;
    for (; r + kRows <= end; r += kRows) {
      const int64_t i = r * b.stride;
      backward_rows<kRows>(b, x + i, slope, dy + i, dx + i, sums);
    }
    for (; r < end; ++r) {
      const int64_t i = r * b.stride;
      backward_rows<1>(b, x + i, slope, dy + i, dx + i, sums);
    }
    for (int64_t c = 0; c < b.channels; ++c) dslope[c] += static_cast<double>(sums[c]);
  }
}

}  // namespace

const PreluKernels<float> prelu_table = {forward, backward};
const PreluKernels<bfloat16> prelu_bf16_table = {forward, backward};

}  // namespace tern::cpu::TERN_ISA
