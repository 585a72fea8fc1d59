#pragma once
// IResNet-18, the residual network of ArcFace, made for faces: no early pooling, a batch normalisation before
// the first convolution of a block, PReLU, and a linear layer over the whole last map instead of its average.
//
//   block, x[N,H,W,in] -> y[N,ceil(H/s),ceil(W/s),out]:
//     y = bn3(conv2(prelu(bn2(conv1(bn1(x)))))) + shortcut(x)
//   conv1 and conv2 are 3x3, conv2 has the stride; the shortcut is x, or a strided 1x1 convolution with bn
//
//   x[N,S,S,C] -> 3x3, bn, prelu: 64 -> four pairs of blocks with 64, 128, 256, 512 channels, the first of
//   each with stride 2 -> bn -> flatten -> linear -> bn -> L2 normalisation -> [N,D]
//
// 14.4 million parameters and 2.6 billion multiply-adds a photo at 112x112, D = 128. The dropout that some
// recipes put before the linear layer has rate 0 there and is left out. Source: Deng, Guo, Xue, Zafeiriou,
// "ArcFace", CVPR 2019, section 3.1; names are those of InsightFace's iresnet18.

#include <optional>

#include "tern/nn/layers.h"
#include "tern/nn/sequential.h"

namespace tern::models {

struct IResNetBlockOptions {
  int64_t in = 0;
  int64_t out = 0;
  int64_t stride = 1;
};

class IResNetBlock final : public nn::Module {
 public:
  explicit IResNetBlock(IResNetBlockOptions options);
  Tensor forward(const Tensor& x) override;
  void visit(nn::Visitor& visitor) override;
  std::string describe() const override { return "IResNetBlock"; }

 private:
  nn::BatchNorm2d bn1_;
  nn::Conv2d conv1_;
  nn::BatchNorm2d bn2_;
  nn::PReLU prelu_;
  nn::Conv2d conv2_;
  nn::BatchNorm2d bn3_;
  std::optional<nn::Sequential> downsample_;
};

struct IResNet18Options {
  int64_t channels = 3;
  int64_t size = 112;  // side of the photos; the linear layer's input depends on it
  int64_t embedding_dim = 128;
};

class IResNet18 final : public nn::Module {
 public:
  explicit IResNet18(IResNet18Options options = {});
  Tensor forward(const Tensor& x) override;
  void visit(nn::Visitor& visitor) override;
  std::string describe() const override { return "IResNet18"; }

 private:
  nn::Conv2d conv1_;
  nn::BatchNorm2d bn1_;
  nn::PReLU prelu_;
  nn::Sequential layer1_, layer2_, layer3_, layer4_;
  nn::BatchNorm2d bn2_;
  nn::Linear fc_;
  nn::BatchNorm2d features_;
};

}  // namespace tern::models
