#pragma once
// A convolution, its batch normalisation and what follows: the step that networks of this kind repeat.
//
//   y = act(bn(conv(x)) + residual)
//
// One function, so that every network gets what can be had by seeing the steps together.

#include "tern/nn/layers.h"

namespace tern::nn {

struct ConvBnOptions {
  PReLU* prelu = nullptr;  // act; without one it is the ReLU of bn if bn has it, else nothing
  Tensor residual = {};    // like y; may be undefined
};

// Through the modules' own calls, so that errors name them.
Tensor conv_bn(Conv2d& conv, BatchNorm2d& bn, const Tensor& x, const ConvBnOptions& options = {});

}  // namespace tern::nn
