#include "tern/models/face_net.h"

#include "tern/ops/l2_normalize.h"
#include "tern/ops/shape_ops.h"

namespace tern::models {
namespace {

constexpr int64_t kStem = 32, kWidth1 = 48, kWidth2 = 96, kWidth3 = 128;
constexpr int64_t kGrid = 4;

}  // namespace

FaceNet::FaceNet(FaceNetOptions options)
    : conv1_{{.in = options.channels, .out = kStem, .kernel = 3, .stride = 2, .padding = 1, .bias = false}},
      bn1_{{.channels = kStem, .relu = true}},
      layer1_{{.in = kStem, .out = kWidth1, .stride = 2}},
      layer2_{{.in = kWidth1, .out = kWidth2, .stride = 2}},
      layer3_{{.in = kWidth2, .out = kWidth3, .stride = 2}},
      pool_{{.out = kGrid}},
      fc_{{.in = kWidth3 * kGrid * kGrid, .out = options.embedding_dim}} {}

Tensor FaceNet::forward(const Tensor& x) {
  const Tensor features = layer3_(layer2_(layer1_(conv_bn(conv1_, bn1_, x))));
  return l2_normalize(fc_(flatten(pool_(features))));
}

void FaceNet::visit(nn::Visitor& visitor) {
  visitor.child("conv1", conv1_);
  visitor.child("bn1", bn1_);
  visitor.child("layer1", layer1_);
  visitor.child("layer2", layer2_);
  visitor.child("layer3", layer3_);
  visitor.child("pool", pool_);
  visitor.child("fc", fc_);
}

}  // namespace tern::models
