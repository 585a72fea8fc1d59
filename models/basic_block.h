#pragma once
// The residual block of ResNet-18: two 3x3 convolutions with batch normalisation, and a path around them.
//
//   y = relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x))
//   x[N,H,W,in] -> y[N,ceil(H/stride),ceil(W/stride),out]
//
// The shortcut is x itself, or a strided 1x1 convolution with batch normalisation where the shape changes.
// Addition and ReLU happen inside bn2. Source: He, Zhang, Ren, Sun, "Deep residual learning for image
// recognition", CVPR 2016; names are torchvision's.

#include <optional>

#include "tern/nn/conv_bn.h"
#include "tern/nn/sequential.h"

namespace tern::models {

struct BasicBlockOptions {
  int64_t in = 0;
  int64_t out = 0;
  int64_t stride = 1;
};

class BasicBlock final : public nn::Module {
 public:
  explicit BasicBlock(BasicBlockOptions options)
      : conv1_{{.in = options.in, .out = options.out, .stride = options.stride, .padding = 1, .bias = false}},
        bn1_{{.channels = options.out, .relu = true}},
        conv2_{{.in = options.out, .out = options.out, .padding = 1, .bias = false}},
        bn2_{{.channels = options.out, .relu = true}} {
    if (options.stride == 1 && options.in == options.out) return;
    downsample_.emplace(
        nn::Conv2d{
            {.in = options.in, .out = options.out, .kernel = 1, .stride = options.stride, .bias = false}},
        nn::BatchNorm2d{{.channels = options.out}});
  }

  Tensor forward(const Tensor& x) override {
    const Tensor shortcut = downsample_ ? (*downsample_)(x) : x;
    return conv_bn(conv2_, bn2_, conv_bn(conv1_, bn1_, x), {.residual = shortcut});
  }
  void visit(nn::Visitor& visitor) override {
    visitor.child("conv1", conv1_);
    visitor.child("bn1", bn1_);
    visitor.child("conv2", conv2_);
    visitor.child("bn2", bn2_);
    if (downsample_) visitor.child("downsample", *downsample_);
  }
  std::string describe() const override { return "BasicBlock"; }

 private:
  nn::Conv2d conv1_;
  nn::BatchNorm2d bn1_;
  nn::Conv2d conv2_;
  nn::BatchNorm2d bn2_;
  std::optional<nn::Sequential> downsample_;
};

}  // namespace tern::models
