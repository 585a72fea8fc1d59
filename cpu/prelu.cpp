#include "tern/ops/prelu.h"

#include <type_traits>
#include <vector>

#include "tern/cpu/channel_panels.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/prelu_kernels.h"
#include "tern/cpu/reference/prelu.h"

namespace tern::cpu {
namespace {

template <class T>
const PreluKernels<T>& prelu_kernels() {
  if constexpr (std::is_same_v<T, float>)
    return isa_pick(
        []() -> auto& { return baseline::prelu_table; }, []() -> auto& { return avx2::prelu_table; },
        []() -> auto& { return avx512::prelu_table; });
  else
    return isa_pick(
        []() -> auto& { return baseline::prelu_bf16_table; },
        []() -> auto& { return avx2::prelu_bf16_table; }, []() -> auto& { return avx512::prelu_bf16_table; });
}

int64_t rows_of(const Tensor& x, const Tensor& w) { return w.numel() == 0 ? 0 : x.numel() / w.numel(); }

std::vector<float> slopes_of(const Panel& p, const Tensor& w) {
  const float* slope = w.data<float>();
  return columns_of(p, w.numel(), [&](int64_t c) { return slope[c]; });
}

template <class T>
void forward(const Tensor& x, const Tensor& w, const Tensor& y) {
  const T* in = x.data<T>();
  T* out = y.mutable_data<T>();
  for (const Panel& p : panels_of(rows_of(x, w), w.numel())) {
    const std::vector<float> slope = slopes_of(p, w);
    for_blocks(p, apply_grid(p), [&](const PanelBlock& b) {
      const int64_t i = p.element + b.row * p.width + b.column;
      prelu_kernels<T>().forward({b.rows, b.columns, p.width}, in + i, slope.data() + b.column, out + i);
    });
  }
}

template <class T>
void backward(const Tensor& x, const Tensor& w, const Tensor& dy, const Tensor& dx, const Tensor& dw) {
  const T *in = x.data<T>(), *gradient = dy.data<T>();
  T* out = dx.mutable_data<T>();
  const int64_t channels = w.numel();
  std::vector<double> sums(static_cast<size_t>(channels), 0.0);
  for (const Panel& p : panels_of(rows_of(x, w), channels)) {
    const std::vector<float> slope = slopes_of(p, w);
    const PanelGrid grid = sum_grid(p);
    std::vector<double> part(static_cast<size_t>(grid.row_blocks * p.width));
    for_blocks(p, grid, [&](const PanelBlock& b) {
      const int64_t i = p.element + b.row * p.width + b.column;
      prelu_kernels<T>().backward({b.rows, b.columns, p.width}, in + i, slope.data() + b.column, gradient + i,
                                  out + i, part.data() + b.row_block * p.width + b.column);
    });
    for (size_t i = 0; i < part.size(); ++i) sums[i % static_cast<size_t>(channels)] += part[i];
  }
  float* result = dw.mutable_data<float>();
  for (int64_t c = 0; c < channels; ++c) result[c] = static_cast<float>(sums[static_cast<size_t>(c)]);
}

}  // namespace

void prelu_forward(const Tensor& x, const Tensor& w, const Tensor& y) {
  by_type(
      x.dtype(),
      [&]<class T, class P>(T, P) {
        reference::prelu_forward(rows_of(x, w), w.numel(), x.data<T>(), w.data<P>(), y.mutable_data<T>());
      },
      [&]<class T>(T) { forward<T>(x, w, y); });
}

void prelu_backward(const Tensor& x, const Tensor& w, const Tensor& dy, const Tensor& dx, const Tensor& dw) {
  by_type(
      x.dtype(),
      [&]<class T, class P>(T, P) {
        reference::prelu_backward(rows_of(x, w), w.numel(), x.data<T>(), w.data<P>(), dy.data<T>(),
                                  dx.mutable_data<T>(), dw.mutable_data<P>());
      },
      [&]<class T>(T) { backward<T>(x, w, dy, dx, dw); });
}

}  // namespace tern::cpu
