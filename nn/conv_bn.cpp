#include "tern/nn/conv_bn.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <vector>

#include "tern/core/derived.h"

namespace tern::nn {
namespace {

// What the folded weights are made from, besides the weight they hang on. Kept with them, so that an address
// that identifies them is not used again while they live.
struct Sources {
  std::array<Tensor, 5> tensors;  // bias of the convolution (may be undefined), gamma, beta, mean, variance
  double eps;

  int64_t key() const {
    uint64_t mixed = std::hash<double>()(eps);
    for (const Tensor& t : tensors)
      mixed =
          (mixed ^ reinterpret_cast<uintptr_t>(t.defined() ? &t.storage() : nullptr)) * 0x9E3779B97F4A7C15u;
    return static_cast<int64_t>(mixed);
  }
  uint64_t version() const {  // versions only grow, and so does their sum with any change
    uint64_t sum = 0;
    for (const Tensor& t : tensors) sum += t.defined() ? t.version() : 0;
    return sum;
  }
};

struct Folded {
  Tensor weight, bias;
  Sources sources;
};

template <class T>
void fold(const Tensor& weight, const Sources& from, const Folded& to) {
  const auto& [bias, gamma, beta, mean, variance] = from.tensors;
  const int64_t outputs = weight.size(0), patch = weight.numel() / outputs;
  const T* w = weight.data<T>();
  T *folded = to.weight.mutable_data<T>(), *folded_bias = to.bias.mutable_data<T>();
  for (int64_t o = 0; o < outputs; ++o) {
    const double scale = gamma.data<T>()[o] / std::sqrt(double{variance.data<T>()[o]} + from.eps);
    for (int64_t k = 0; k < patch; ++k) folded[o * patch + k] = static_cast<T>(scale * w[o * patch + k]);
    const double before = bias.defined() ? double{bias.data<T>()[o]} : 0;
    folded_bias[o] = static_cast<T>(beta.data<T>()[o] + scale * (before - mean.data<T>()[o]));
  }
}

std::shared_ptr<const Folded> folded(const Conv2d& conv, const BatchNorm2d& bn) {
  const Sources sources{{conv.bias, bn.weight, bn.bias, bn.running_mean, bn.running_var}, bn.eps()};
  return Derived<Folded>::of(
      conv.weight.storage(), sources.key(),
      [&] {
        Folded made{Tensor::empty(conv.weight.shape(), {.dtype = conv.weight.dtype()}),
                    Tensor::empty({conv.weight.size(0)}, {.dtype = conv.weight.dtype()}), sources};
        if (conv.weight.dtype() == DType::F64) fold<double>(conv.weight, sources, made);
        else fold<float>(conv.weight, sources, made);
        return made;
      },
      sources.version());
}

bool folds(const Tensor& x, const ConvBn& step) {
  const int64_t channels = step.bn.weight.numel();
  return !step.bn.training() && !grad_enabled() && x.device().is_cpu() &&
         channels == step.conv.weight.size(0) &&
         (!step.then.prelu || step.then.prelu->weight.numel() == channels);
}

Conv2dEpilogue epilogue_of(const ConvBn& step) {
  Conv2dEpilogue epilogue{.residual = step.then.residual};
  if (step.then.relu || step.bn.has_relu()) epilogue.activation = Activation::Relu;
  if (step.then.prelu)
    epilogue.activation = Activation::Prelu, epilogue.slope = step.then.prelu->weight.share();
  return epilogue;
}

}  // namespace

Tensor conv_bn(Conv2d& conv, BatchNorm2d& bn, const Tensor& x, const BatchNormFollowers& then) {
  const ConvBn step{conv, bn, then};
  if (bn.training()) {
    const Conv2dWithStatistics conv_x = conv.run_with_statistics(x);
    return bn(conv_x.y, then, conv_x.statistics);
  }
  if (!folds(x, step)) return bn(conv(x), then);
  const auto use = folded(conv, bn);
  return conv.run_fused(x, use->weight, use->bias, epilogue_of(step));
}

Tensor conv_bn_chain(const Tensor& x, std::span<const ConvBn> steps) {
  const bool fits =
      std::all_of(steps.begin(), steps.end(), [&](const ConvBn& step) { return folds(x, step); });
  if (!fits) {
    Tensor y = x;
    for (const ConvBn& step : steps) y = conv_bn(step.conv, step.bn, y, step.then);
    return y;
  }
  std::vector<Conv2dStep> chain;
  Shape shape = x.shape();
  for (const ConvBn& step : steps) {
    const auto use = folded(step.conv, step.bn);
    chain.push_back(step.conv.fused_step(shape, use->weight, use->bias, epilogue_of(step)));
  }
  return conv2d_chain(x, chain);
}

}  // namespace tern::nn
