#include "tern/nn/conv_bn.h"

namespace tern::nn {

Tensor conv_bn(Conv2d& conv, BatchNorm2d& bn, const Tensor& x, const ConvBnOptions& options) {
  const Tensor y = bn(conv(x), options.residual);
  return options.prelu ? (*options.prelu)(y) : y;
}

}  // namespace tern::nn
