#pragma once
// MobileFaceNet: a million parameters, for phones and hand-held scanners. Most of its work is moving feature
// maps: 1x1 convolutions, and 3x3 ones with one filter per channel (depthwise).
//
//   bottleneck, x[N,H,W,in] -> y[N,ceil(H/s),ceil(W/s),out], e = expansion in:
//     y = bn(1x1(prelu(bn(depthwise 3x3, stride s(prelu(bn(1x1(x))))))))  [+ x where the shapes agree]
//
//   x[N,S,S,C] -> 3x3 stride 2: 64 -> depthwise 3x3 -> 15 bottlenecks, sides S/4, S/8, S/16
//              -> 1x1: 512 -> depthwise over the whole map -> 1x1: D -> L2 normalisation -> [N,D]
//
// 1.0 million parameters and 221 million multiply-adds a photo at 112x112, D = 128. Source: Chen, Liu, Gao,
// Han, "MobileFaceNets", CCBR 2018; names are those of its widely used PyTorch version (conv1, dw_conv1,
// blocks, conv2, linear7, linear1).

#include <array>
#include <optional>

#include "tern/nn/conv_bn.h"
#include "tern/nn/layers.h"
#include "tern/nn/sequential.h"

namespace tern::models {

// conv, bn and, unless linear, prelu.
struct ConvBlockOptions {
  nn::Conv2dOptions conv;
  bool linear = false;
};

class ConvBlock final : public nn::Module {
 public:
  explicit ConvBlock(ConvBlockOptions options);
  Tensor forward(const Tensor& x) override;
  nn::ConvBn step();  // of a chain
  void visit(nn::Visitor& visitor) override;
  std::string describe() const override { return "ConvBlock"; }

 private:
  nn::Conv2d conv_;
  nn::BatchNorm2d bn_;
  std::optional<nn::PReLU> prelu_;
};

struct BottleneckOptions {
  int64_t in = 0;
  int64_t out = 0;
  int64_t stride = 1;
  int64_t expansion = 2;
};

class Bottleneck final : public nn::Module {
 public:
  explicit Bottleneck(BottleneckOptions options);
  Tensor forward(const Tensor& x) override;
  std::array<nn::ConvBn, 3> steps(const Tensor& residual);  // of a chain
  void visit(nn::Visitor& visitor) override;
  std::string describe() const override { return "Bottleneck"; }

 private:
  nn::Conv2d expand_;
  nn::BatchNorm2d expand_bn_;
  nn::PReLU expand_prelu_;
  nn::Conv2d depthwise_;
  nn::BatchNorm2d depthwise_bn_;
  nn::PReLU depthwise_prelu_;
  nn::Conv2d project_;
  nn::BatchNorm2d project_bn_;
  bool residual_;
};

struct MobileFaceNetOptions {
  int64_t channels = 3;
  int64_t size = 112;  // side of the photos; the last depthwise filter covers the map it leaves
  int64_t embedding_dim = 128;
};

class MobileFaceNet final : public nn::Module {
 public:
  explicit MobileFaceNet(MobileFaceNetOptions options = {});
  Tensor forward(const Tensor& x) override;
  void visit(nn::Visitor& visitor) override;
  std::string describe() const override { return "MobileFaceNet"; }

 private:
  ConvBlock conv1_, dw_conv1_;
  nn::Sequential blocks_;
  ConvBlock conv2_, linear7_, linear1_;
};

}  // namespace tern::models
