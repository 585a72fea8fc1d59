#include "tern/models/mobilefacenet.h"

#include "tern/ops/l2_normalize.h"
#include "tern/ops/shape_ops.h"

namespace tern::models {
namespace {

// Table 1 of the paper: count bottlenecks of this kind, the first with the stride.
struct Stage {
  int64_t expansion, out, count, stride;
};
constexpr Stage kStages[] = {{2, 64, 5, 2}, {4, 128, 1, 2}, {2, 128, 6, 1}, {4, 128, 1, 2}, {2, 128, 2, 1}};

nn::Sequential bottlenecks() {
  nn::Sequential blocks;
  int64_t in = 64;
  for (const Stage& stage : kStages)
    for (int64_t i = 0; i < stage.count; ++i) {
      blocks.add(Bottleneck{
          {.in = in, .out = stage.out, .stride = i == 0 ? stage.stride : 1, .expansion = stage.expansion}});
      in = stage.out;
    }
  return blocks;
}

// The side of the last map: the photo is halved four times, rounding up.
int64_t last_side(int64_t size) { return (size + 15) / 16; }

nn::Conv2dOptions depthwise(int64_t channels, int64_t kernel, int64_t stride, int64_t padding) {
  return {.in = channels,
          .out = channels,
          .kernel = kernel,
          .stride = stride,
          .padding = padding,
          .groups = channels,
          .bias = false};
}
nn::Conv2dOptions pointwise(int64_t in, int64_t out) {
  return {.in = in, .out = out, .kernel = 1, .bias = false};
}

}  // namespace

ConvBlock::ConvBlock(ConvBlockOptions options) : conv_{options.conv}, bn_{{.channels = options.conv.out}} {
  if (!options.linear) prelu_.emplace(nn::PReLUOptions{.channels = options.conv.out});
}

nn::ConvBn ConvBlock::step() {
  const Call call(*this);
  return {conv_, bn_, {.prelu = prelu_ ? &*prelu_ : nullptr}};
}

Tensor ConvBlock::forward(const Tensor& x) {
  const nn::ConvBn alone = step();
  return conv_bn(alone.conv, alone.bn, x, alone.then);
}

void ConvBlock::visit(nn::Visitor& visitor) {
  visitor.child("conv", conv_);
  visitor.child("bn", bn_);
  if (prelu_) visitor.child("prelu", *prelu_);
}

Bottleneck::Bottleneck(BottleneckOptions options)
    : expand_{pointwise(options.in, options.in * options.expansion)},
      expand_bn_{{.channels = options.in * options.expansion}},
      expand_prelu_{{.channels = options.in * options.expansion}},
      depthwise_{depthwise(options.in * options.expansion, 3, options.stride, 1)},
      depthwise_bn_{{.channels = options.in * options.expansion}},
      depthwise_prelu_{{.channels = options.in * options.expansion}},
      project_{pointwise(options.in * options.expansion, options.out)},
      project_bn_{{.channels = options.out}},
      residual_(options.stride == 1 && options.in == options.out) {}

std::array<nn::ConvBn, 3> Bottleneck::steps(const Tensor& residual) {
  const Call call(*this);
  return {{{expand_, expand_bn_, {.prelu = &expand_prelu_}},
           {depthwise_, depthwise_bn_, {.prelu = &depthwise_prelu_}},
           {project_, project_bn_, {.residual = residual}}}};
}

Tensor Bottleneck::forward(const Tensor& x) { return nn::conv_bn_chain(x, steps(residual_ ? x : Tensor())); }

void Bottleneck::visit(nn::Visitor& visitor) {
  visitor.child("conv.0", expand_);
  visitor.child("conv.1", expand_bn_);
  visitor.child("conv.2", expand_prelu_);
  visitor.child("conv.3", depthwise_);
  visitor.child("conv.4", depthwise_bn_);
  visitor.child("conv.5", depthwise_prelu_);
  visitor.child("conv.6", project_);
  visitor.child("conv.7", project_bn_);
}

MobileFaceNet::MobileFaceNet(MobileFaceNetOptions options)
    : conv1_{{.conv = {.in = options.channels, .out = 64, .stride = 2, .padding = 1, .bias = false}}},
      dw_conv1_{{.conv = depthwise(64, 3, 1, 1)}},
      blocks_{bottlenecks()},
      conv2_{{.conv = pointwise(128, 512)}},
      linear7_{{.conv = depthwise(512, last_side(options.size), 1, 0), .linear = true}},
      linear1_{{.conv = pointwise(512, options.embedding_dim), .linear = true}} {}

// The first depthwise layer joins the chain of the first bottleneck: what lies between, the largest maps of
// the network, stays in a cache. It fits any photo; linear7 does not, and is called as a module, so that an
// error names it.
Tensor MobileFaceNet::forward(const Tensor& x) {
  const auto first = dynamic_cast<Bottleneck&>(blocks_[0]).steps({});
  const Tensor maps =
      nn::conv_bn_chain(conv1_(x), std::array{dw_conv1_.step(), first[0], first[1], first[2]});
  return l2_normalize(flatten(linear1_(linear7_(conv2_(blocks_.run_from(1, maps))))));
}

void MobileFaceNet::visit(nn::Visitor& visitor) {
  visitor.child("conv1", conv1_);
  visitor.child("dw_conv1", dw_conv1_);
  visitor.child("blocks", blocks_);
  visitor.child("conv2", conv2_);
  visitor.child("linear7", linear7_);
  visitor.child("linear1", linear1_);
}

}  // namespace tern::models
