#pragma once
// The demo network: a photo of a face becomes a point on the unit sphere, near to other photos of the same
// person.
//
//   x[N,S,S,C], S = 32 .. 160, C = 1 or 3   (figures for S = 64)
//   stem     3x3, stride 2, bn, relu        -> [N,32,32, 32]
//   layer1   residual block, stride 2       -> [N,16,16, 48]
//   layer2   residual block, stride 2       -> [N, 8, 8, 96]
//   layer3   residual block, stride 2       -> [N, 4, 4,128]
//   pool     average over a 4x4 grid        -> [N, 4, 4,128]     whatever S is
//   fc       linear                         -> [N,D]
//            L2 normalisation               -> [N,D], rows of length 1
//
// About 0.70 million parameters, 23 million multiply-adds a photo at S = 64. The 4x4 grid keeps where on the
// face a feature was: cropped faces are aligned, and averaging over the whole map would throw that away.
// Widths are multiples of 16, the floats of an AVX-512 register.

#include "tern/models/basic_block.h"

namespace tern::models {

struct FaceNetOptions {
  int64_t channels = 3;
  int64_t embedding_dim = 128;
};

class FaceNet final : public nn::Module {
 public:
  explicit FaceNet(FaceNetOptions options = {});
  Tensor forward(const Tensor& x) override;
  void visit(nn::Visitor& visitor) override;
  std::string describe() const override { return "FaceNet"; }

 private:
  nn::Conv2d conv1_;
  nn::BatchNorm2d bn1_;
  BasicBlock layer1_, layer2_, layer3_;
  nn::AdaptiveAvgPool2d pool_;
  nn::Linear fc_;
};

}  // namespace tern::models
