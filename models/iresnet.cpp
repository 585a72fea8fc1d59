#include "tern/models/iresnet.h"

#include "tern/nn/conv_bn.h"
#include "tern/ops/l2_normalize.h"
#include "tern/ops/shape_ops.h"

namespace tern::models {
namespace {

nn::Sequential block_pair(int64_t in, int64_t out) {
  return nn::Sequential{IResNetBlock{{.in = in, .out = out, .stride = 2}},
                        IResNetBlock{{.in = out, .out = out}}};
}

// The features that reach the linear layer: the photo is halved four times, rounding up.
int64_t last_features(int64_t size) {
  const int64_t side = (size + 15) / 16;
  return 512 * side * side;
}

}  // namespace

IResNetBlock::IResNetBlock(IResNetBlockOptions options)
    : bn1_{{.channels = options.in}},
      conv1_{{.in = options.in, .out = options.out, .padding = 1, .bias = false}},
      bn2_{{.channels = options.out}},
      prelu_{{.channels = options.out}},
      conv2_{{.in = options.out, .out = options.out, .stride = options.stride, .padding = 1, .bias = false}},
      bn3_{{.channels = options.out}} {
  if (options.stride == 1 && options.in == options.out) return;
  downsample_.emplace(
      nn::Conv2d{
          {.in = options.in, .out = options.out, .kernel = 1, .stride = options.stride, .bias = false}},
      nn::BatchNorm2d{{.channels = options.out}});
}

Tensor IResNetBlock::forward(const Tensor& x) {
  const Tensor shortcut = downsample_ ? (*downsample_)(x) : x;
  const Tensor h = conv_bn(conv1_, bn2_, bn1_(x), {.prelu = &prelu_});
  return conv_bn(conv2_, bn3_, h, {.residual = shortcut});
}

void IResNetBlock::visit(nn::Visitor& visitor) {
  visitor.child("bn1", bn1_);
  visitor.child("conv1", conv1_);
  visitor.child("bn2", bn2_);
  visitor.child("prelu", prelu_);
  visitor.child("conv2", conv2_);
  visitor.child("bn3", bn3_);
  if (downsample_) visitor.child("downsample", *downsample_);
}

IResNet18::IResNet18(IResNet18Options options)
    : conv1_{{.in = options.channels, .out = 64, .padding = 1, .bias = false}},
      bn1_{{.channels = 64}},
      prelu_{{.channels = 64}},
      layer1_{block_pair(64, 64)},
      layer2_{block_pair(64, 128)},
      layer3_{block_pair(128, 256)},
      layer4_{block_pair(256, 512)},
      bn2_{{.channels = 512}},
      fc_{{.in = last_features(options.size), .out = options.embedding_dim}},
      features_{{.channels = options.embedding_dim}} {}

Tensor IResNet18::forward(const Tensor& x) {
  const Tensor stem = conv_bn(conv1_, bn1_, x, {.prelu = &prelu_});
  const Tensor maps = layer4_(layer3_(layer2_(layer1_(stem))));
  return l2_normalize(features_(fc_(flatten(bn2_(maps)))));
}

void IResNet18::visit(nn::Visitor& visitor) {
  visitor.child("conv1", conv1_);
  visitor.child("bn1", bn1_);
  visitor.child("prelu", prelu_);
  visitor.child("layer1", layer1_);
  visitor.child("layer2", layer2_);
  visitor.child("layer3", layer3_);
  visitor.child("layer4", layer4_);
  visitor.child("bn2", bn2_);
  visitor.child("fc", fc_);
  visitor.child("features", features_);
}

}  // namespace tern::models
