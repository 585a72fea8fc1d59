#include "tern/models/resnet.h"

#include "tern/ops/l2_normalize.h"

namespace tern::models {
namespace {

nn::Sequential block_pair(int64_t in, int64_t out, int64_t stride) {
  nn::Sequential pair;
  pair.add(BasicBlock{{.in = in, .out = out, .stride = stride}});
  pair.add(BasicBlock{{.in = out, .out = out}});
  return pair;
}

}  // namespace

ResNet18::ResNet18(ResNet18Options options)
    : conv1_{{.in = options.channels, .out = 64, .kernel = 7, .stride = 2, .padding = 3, .bias = false}},
      bn1_{{.channels = 64, .relu = true}},
      maxpool_{{.kernel = 3, .stride = 2, .padding = 1}},
      layer1_{block_pair(64, 64, 1)},
      layer2_{block_pair(64, 128, 2)},
      layer3_{block_pair(128, 256, 2)},
      layer4_{block_pair(256, 512, 2)},
      fc_{{.in = 512, .out = options.embedding_dim}} {}

Tensor ResNet18::forward(const Tensor& x) {
  const Tensor features = layer4_(layer3_(layer2_(layer1_(maxpool_(conv_bn(conv1_, bn1_, x))))));
  return l2_normalize(fc_(global_avg_pool2d(features)));
}

void ResNet18::visit(nn::Visitor& visitor) {
  visitor.child("conv1", conv1_);
  visitor.child("bn1", bn1_);
  visitor.child("maxpool", maxpool_);
  visitor.child("layer1", layer1_);
  visitor.child("layer2", layer2_);
  visitor.child("layer3", layer3_);
  visitor.child("layer4", layer4_);
  visitor.child("fc", fc_);
}

}  // namespace tern::models
