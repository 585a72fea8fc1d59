#pragma once
// What a convolution does to the outputs it has just written: y = act(y + residual) in inference, the moments
// of its channels in training. Passed to the loops of every algorithm; an empty one does nothing.

#include <type_traits>

#include "tern/core/tensor.h"
#include "tern/cpu/channel_moments.h"
#include "tern/cpu/epilogue_kernels.h"
#include "tern/cpu/isa.h"
#include "tern/ops/conv2d.h"

namespace tern::cpu {

template <class T>
const EpilogueKernels<T>& epilogue_kernels() {
  if constexpr (std::is_same_v<T, float>)
    return isa_pick(
        []() -> auto& { return baseline::epilogue_table; }, []() -> auto& { return avx2::epilogue_table; },
        []() -> auto& { return avx512::epilogue_table; });
  else
    return isa_pick(
        []() -> auto& { return baseline::epilogue_bf16_table; },
        []() -> auto& { return avx2::epilogue_bf16_table; },
        []() -> auto& { return avx512::epilogue_bf16_table; });
}

template <class T>
class Epilogue {
 public:
  Epilogue() = default;
  Epilogue(const Conv2dEpilogue& e, const Tensor& y)
      : y_(y.data<T>()),
        residual_(e.residual.defined() ? e.residual.data<T>() : nullptr),
        slope_(e.slope.defined() ? e.slope.data<float>() : nullptr),
        activation_(e.activation) {}
  explicit Epilogue(ChannelMoments& moments) : moments_(&moments) {}

  bool empty() const { return !residual_ && activation_ == Activation::None; }
  // Channels [group + first, group + first + n) of some pixels, `channels` elements apart; channel `group` of
  // the first pixel is at `from`.
  void apply(T* from, int64_t group, int64_t first, int64_t n, int64_t pixels, int64_t channels) const {
    T* at = from + first;
    epilogue_kernels<T>().run({.y = at,
                               .residual = residual_ ? residual_ + (at - y_) : nullptr,
                               .slope = slope_ ? slope_ + group + first : nullptr,
                               .n = n,
                               .pixels = pixels,
                               .stride = channels,
                               .activation = activation_});
  }
  // For an algorithm that finishes the rows of y, pixel after pixel, range by range: how many ranges, then of
  // each the channels [group + first, group + first + n) of so many pixels, from as in apply().
  void cut(int64_t ranges) const {
    if (moments_) moments_->cut(ranges);
  }
  void finished(int64_t range, int64_t pixels, const T* from, int64_t group, int64_t first, int64_t n) const {
    if (moments_ && moments_->is_cut()) moments_->take(range, pixels, from + first, group + first, n);
  }
  const float* slope() const { return slope_; }
  Activation activation() const { return activation_; }
  bool has_residual() const { return residual_ != nullptr; }

 private:
  const T* y_ = nullptr;
  const T* residual_ = nullptr;
  const float* slope_ = nullptr;
  Activation activation_ = Activation::None;
  ChannelMoments* moments_ = nullptr;
};

inline const float* bias_data(const Tensor& bias) { return bias.defined() ? bias.data<float>() : nullptr; }

// The f32 convolution of the active instruction set (cpu/conv2d.cpp).
void conv2d_forward_f32(const Conv2dGeometry& g, const float* x, const Tensor& w, const float* bias, float* y,
                        const Epilogue<float>& epilogue);

}  // namespace tern::cpu
