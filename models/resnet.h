#pragma once
// ResNet-18 with an embedding in place of the classifier, the network of the speed comparison with PyTorch.
//
//   x[N,H,W,C] -> 7x7 stride 2, bn, relu -> 3x3 max pool stride 2 -> four pairs of residual blocks with 64,
//   128, 256 and 512 channels, the first of each later pair with stride 2 -> global average -> linear -> L2
//   normalisation
//
// 11.2 million parameters at D = 128; 0.5 billion multiply-adds a photo at 112x112. Names are torchvision's,
// so that its weights load (all but fc). Source: He, Zhang, Ren, Sun, "Deep residual learning for image
// recognition", CVPR 2016.

#include "tern/models/basic_block.h"

namespace tern::models {

struct ResNet18Options {
  int64_t channels = 3;
  int64_t embedding_dim = 128;
};

class ResNet18 final : public nn::Module {
 public:
  explicit ResNet18(ResNet18Options options = {});
  Tensor forward(const Tensor& x) override;
  void visit(nn::Visitor& visitor) override;
  std::string describe() const override { return "ResNet18"; }

 private:
  nn::Conv2d conv1_;
  nn::BatchNorm2d bn1_;
  nn::MaxPool2d maxpool_;
  nn::Sequential layer1_, layer2_, layer3_, layer4_;
  nn::Linear fc_;
};

}  // namespace tern::models
