#pragma once
// A convolution, its batch normalisation and what follows: the step that networks of this kind repeat.
//
//   y = act(bn(conv(x)) + residual)
//
// act is the PReLU if there is one, else the ReLU of bn if bn has it, else nothing. One function, so that
// every network gets what can be had by seeing the steps together:
//
// - in training, normalisation, residual and activation take one pass (ops/batch_norm.h), and the statistics
//   come from the convolution, taken of every part of its output while that is in a cache still;
// - in inference, that is in evaluation mode with gradients off, the normalisation disappears: with
//   a = gamma / sqrt(running_var + eps), the convolution runs with the weights a w and the bias
//   beta + a (b - running_mean), and residual and activation are applied where it writes its output. The
//   folded weights are made once and again only when a weight or a statistic has changed (Derived).

#include <span>

#include "tern/nn/layers.h"

namespace tern::nn {

// Through the modules' own calls, so that errors name them.
Tensor conv_bn(Conv2d& conv, BatchNorm2d& bn, const Tensor& x, const BatchNormFollowers& then = {});

// One after another, each on the output of the one before; in inference as one chain (conv2d_chain in
// ops/conv2d.h).
struct ConvBn {
  Conv2d& conv;
  BatchNorm2d& bn;
  BatchNormFollowers then = {};
};
Tensor conv_bn_chain(const Tensor& x, std::span<const ConvBn> steps);

}  // namespace tern::nn
