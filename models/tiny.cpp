#include "tern/models/tiny.h"

#include "tern/nn/conv_bn.h"
#include "tern/ops/l2_normalize.h"

namespace tern::models {

Tiny::Tiny(TinyOptions options)
    : conv1_{{.in = options.channels, .out = 32, .padding = 1, .bias = false}},
      bn1_{{.channels = 32, .relu = true}},
      conv2_{{.in = 32, .out = 64, .padding = 1, .bias = false}},
      bn2_{{.channels = 64, .relu = true}},
      conv3_{{.in = 64, .out = 128, .padding = 1, .bias = false}},
      bn3_{{.channels = 128, .relu = true}},
      conv4_{{.in = 128, .out = 128, .padding = 1, .bias = false}},
      bn4_{{.channels = 128, .relu = true}},
      pool_{{.kernel = 2}},
      fc_{{.in = 128, .out = options.embedding_dim}} {}

Tensor Tiny::forward(const Tensor& x) {
  const Tensor half = pool_(conv_bn(conv1_, bn1_, x));
  const Tensor quarter = pool_(conv_bn(conv2_, bn2_, half));
  const Tensor eighth = pool_(conv_bn(conv3_, bn3_, quarter));
  return l2_normalize(fc_(global_avg_pool2d(conv_bn(conv4_, bn4_, eighth))));
}

void Tiny::visit(nn::Visitor& visitor) {
  visitor.child("conv1", conv1_);
  visitor.child("bn1", bn1_);
  visitor.child("conv2", conv2_);
  visitor.child("bn2", bn2_);
  visitor.child("conv3", conv3_);
  visitor.child("bn3", bn3_);
  visitor.child("conv4", conv4_);
  visitor.child("bn4", bn4_);
  visitor.child("pool", pool_);
  visitor.child("fc", fc_);
}

}  // namespace tern::models
