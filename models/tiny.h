#pragma once
// The smallest network of the speed comparisons: four convolutions.
//
//   x[N,H,W,C] -> 3x3, bn, relu: 32 -> pool 2 -> 64 -> pool 2 -> 128 -> pool 2 -> 128
//              -> global average -> linear -> L2 normalisation -> [N,D]
//
// 0.25 million parameters and 48 million multiply-adds a photo at 64x64 grey with D = 64.

#include "tern/nn/layers.h"

namespace tern::models {

struct TinyOptions {
  int64_t channels = 1;
  int64_t embedding_dim = 64;
};

class Tiny final : public nn::Module {
 public:
  explicit Tiny(TinyOptions options = {});
  Tensor forward(const Tensor& x) override;
  void visit(nn::Visitor& visitor) override;
  std::string describe() const override { return "Tiny"; }

 private:
  nn::Conv2d conv1_;
  nn::BatchNorm2d bn1_;
  nn::Conv2d conv2_;
  nn::BatchNorm2d bn2_;
  nn::Conv2d conv3_;
  nn::BatchNorm2d bn3_;
  nn::Conv2d conv4_;
  nn::BatchNorm2d bn4_;
  nn::MaxPool2d pool_;
  nn::Linear fc_;
};

}  // namespace tern::models
