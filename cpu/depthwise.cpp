#include "tern/cpu/depthwise.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "tern/core/parallel.h"
#include "tern/cpu/conv2d_grids.h"
#include "tern/cpu/depthwise_kernels.h"
#include "tern/cpu/filter_cache.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/scratch.h"

namespace tern::cpu {
namespace {

constexpr int64_t kRowsPerChunk = 4;  // image rows a thread takes at a time
constexpr int64_t kSlices = 32;       // of the weight gradient's sum over image rows

template <class T>
const DepthwiseKernels<T>& depthwise_kernels() {
  if constexpr (std::is_same_v<T, float>)
    return isa_pick(
        []() -> auto& { return baseline::depthwise_table; }, []() -> auto& { return avx2::depthwise_table; },
        []() -> auto& { return avx512::depthwise_table; });
  else
    return isa_pick(
        []() -> auto& { return baseline::depthwise_bf16_table; },
        []() -> auto& { return avx2::depthwise_bf16_table; },
        []() -> auto& { return avx512::depthwise_bf16_table; });
}

// Row i of outputs of one image.
DepthwiseWindow forward_window(const Conv2dGeometry& g, int64_t i) {
  return {.h = g.h,
          .w = g.w,
          .channels = g.c,
          .columns = g.out_w,
          .top = i * g.stride.h - g.padding.h,
          .left = -g.padding.w,
          .step = g.stride.w,
          .taps_h = g.kh,
          .taps_w = g.kw,
          .delta_h = g.dilation.h,
          .delta_w = g.dilation.w};
}

// One phase of the data gradient: its taps' weights, [tap][channel], and where they lie.
struct Phase {
  Phase(const Conv2dGeometry& g, const float* w, const AxisPhase& h, const AxisPhase& v) : h(h), v(v) {
    weights.resize(static_cast<size_t>(std::max<int64_t>(1, h.taps * v.taps * g.c)));  // data() is no null
    for (int64_t tap = 0; tap < h.taps * v.taps; ++tap) {
      const int64_t from = h.tap(tap / v.taps) * g.kw + v.tap(tap % v.taps);
      for (int64_t c = 0; c < g.c; ++c)
        weights[static_cast<size_t>(tap * g.c + c)] = w[c * g.kh * g.kw + from];
    }
  }
  DepthwiseWindow window(const Conv2dGeometry& g, int64_t i) const {
    return {.h = g.out_h,
            .w = g.out_w,
            .channels = g.c,
            .columns = v.positions,
            .top = h.start + i,
            .left = v.start,
            .step = 1,
            .taps_h = h.taps,
            .taps_w = v.taps,
            .delta_h = h.delta,
            .delta_w = v.delta};
  }
  AxisPhase h, v;
  std::vector<float> weights;
};

}  // namespace

template <class T>
DepthwiseRows<T>::DepthwiseRows(const Conv2dGeometry& g, const Tensor& w, const float* bias,
                                const Epilogue<T>& epilogue)
    : g_(g),
      bias_(bias),
      epilogue_(epilogue),
      weights_(cached_filters<Scratch<float>>(w, FilterForm::Taps, 0, [&] {
        const int64_t taps = g.kh * g.kw;
        auto weights = std::make_unique<Scratch<float>>(taps * g.c);
        const float* from = w.data<float>();
        for (int64_t c = 0; c < g.c; ++c)
          for (int64_t tap = 0; tap < taps; ++tap) (*weights)[tap * g.c + c] = *from++;
        return weights;
      })) {}

template <class T>
void DepthwiseRows<T>::run(const T* x, int64_t first, int64_t count, int64_t i, T* y, int64_t y_pixel) const {
  DepthwiseWindow window = forward_window(g_, i);
  window.top -= first;
  window.h = count;
  const bool later = epilogue_.has_residual();  // comes before the activation
  depthwise_kernels<T>().row({.window = window,
                              .x = x,
                              .weight = weights_->data(),
                              .bias = bias_,
                              .slope = epilogue_.slope(),
                              .activation = later ? Activation::None : epilogue_.activation(),
                              .y = y,
                              .y_pixel = y_pixel});
  if (later) epilogue_.apply(y, 0, 0, g_.c, g_.out_w, y_pixel);
}

template <class T>
void depthwise_forward(const Conv2dGeometry& g, const T* x, const Tensor& w, const float* bias, T* y,
                       const Epilogue<T>& epilogue) {
  const DepthwiseRows<T> rows(g, w, bias, epilogue);
  const int64_t total = g.n * g.out_h, line = g.out_w * g.c;
  constexpr int64_t kPixels = 224, kManyChunks = 32;  // whose moments are taken together
  const int64_t chunk = std::max(std::clamp<int64_t>(total / 16, 1, kRowsPerChunk),
                                 std::min(kPixels / g.out_w, total / kManyChunks));
  const int64_t chunks = (total + chunk - 1) / chunk;
  epilogue.cut(chunks);
  parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const int64_t first = k * chunk, last = std::min(total, first + chunk);
      for (int64_t row = first; row < last; ++row)
        rows.run(x + row / g.out_h * g.h * g.w * g.c, 0, g.h, row % g.out_h, y + row * line, g.c);
      epilogue.finished(k, (last - first) * g.out_w, y + first * line, 0, 0, g.c);
    }
  });
}

template <class T>
void depthwise_backward_data(const Conv2dGeometry& g, const T* dy, const float* w, T* dx) {
  std::vector<Phase> phases;  // by residue of the row, then of the column
  for_each_phase(g, [&](const AxisPhase& h, const AxisPhase& v) { phases.emplace_back(g, w, h, v); });
  const int64_t across = std::min(g.stride.w, g.w);
  parallel_for(g.n * g.h, std::min(kRowsPerChunk, g.h), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t n = row / g.h, residue = row % g.h % g.stride.h, i = row % g.h / g.stride.h;
      for (int64_t k = 0; k < across; ++k) {
        const Phase& phase = phases[static_cast<size_t>(residue * across + k)];
        depthwise_kernels<T>().row({.window = phase.window(g, i),
                                    .x = dy + n * g.out_h * g.out_w * g.c,
                                    .weight = phase.weights.data(),
                                    .bias = nullptr,
                                    .slope = nullptr,
                                    .activation = Activation::None,
                                    .y = dx + (row * g.w + k) * g.c,
                                    .y_pixel = g.stride.w * g.c});
      }
    }
  });
}

template <class T>
void depthwise_backward_weight(const Conv2dGeometry& g, const T* dy, const T* x, float* dw) {
  const int64_t taps = g.kh * g.kw, rows = g.n * g.out_h, slices = std::min(kSlices, rows);
  const Scratch<float> partial(slices * taps * g.c);
  parallel_for(slices, 1, [&](int64_t begin, int64_t end) {
    for (int64_t slice = begin; slice < end; ++slice) {
      float* sums = partial.data() + slice * taps * g.c;
      std::fill_n(sums, taps * g.c, 0.0f);
      for (int64_t row = slice * rows / slices; row < (slice + 1) * rows / slices; ++row)
        depthwise_kernels<T>().gradient({.window = forward_window(g, row % g.out_h),
                                         .x = x + row / g.out_h * g.h * g.w * g.c,
                                         .dy = dy + row * g.out_w * g.c,
                                         .sums = sums});
    }
  });
  for (int64_t tap = 0; tap < taps; ++tap)
    for (int64_t c = 0; c < g.c; ++c) {
      float sum = 0;
      for (int64_t slice = 0; slice < slices; ++slice) sum += partial.data()[(slice * taps + tap) * g.c + c];
      dw[c * taps + tap] = sum;
    }
}

template class DepthwiseRows<float>;
template class DepthwiseRows<bfloat16>;
template void depthwise_forward(const Conv2dGeometry&, const float*, const Tensor&, const float*, float*,
                                const Epilogue<float>&);
template void depthwise_forward(const Conv2dGeometry&, const bfloat16*, const Tensor&, const float*,
                                bfloat16*, const Epilogue<bfloat16>&);
template void depthwise_backward_data(const Conv2dGeometry&, const float*, const float*, float*);
template void depthwise_backward_data(const Conv2dGeometry&, const bfloat16*, const float*, bfloat16*);
template void depthwise_backward_weight(const Conv2dGeometry&, const float*, const float*, float*);
template void depthwise_backward_weight(const Conv2dGeometry&, const bfloat16*, const bfloat16*, float*);

}  // namespace tern::cpu
