#include "tern/nn/conv_bn.h"

namespace tern::nn {

Tensor conv_bn(Conv2d& conv, BatchNorm2d& bn, const Tensor& x, const BatchNormFollowers& then) {
  return bn(conv(x), then);
}

}  // namespace tern::nn
