// Two training steps of a tiny network, short enough to run on an emulated processor
// (scripts/checks/older_processors.sh).
#include <gtest/gtest.h>

#include <cmath>

#include "tern/core/parallel.h"
#include "tern/data/synthetic.h"
#include "tern/nn/state_dict.h"
#include "tern/train/trainer.h"
#include "tests/train/tiny.h"

namespace tern {
namespace {

void expect_steps_that_change_every_parameter(nn::Module& net, const Dataset& people, TrainOptions options) {
  std::vector<Tensor> before;
  for (const Tensor& p : net.parameters()) before.push_back(p.clone());
  Trainer trainer(net, people, nullptr, std::move(options));
  for (int step = 0; step < 2; ++step) {
    const StepInfo info = trainer.step();
    EXPECT_TRUE(std::isfinite(info.loss)) << info.loss;
    EXPECT_TRUE(std::isfinite(info.grad_norm)) << info.grad_norm;
    EXPECT_GT(info.loss, 0);
    EXPECT_GT(info.grad_norm, 0);
  }
  const auto named = net.named_parameters();
  for (size_t i = 0; i < named.size(); ++i)
    EXPECT_NE(named[i].tensor.to_vector(), before[i].to_vector()) << named[i].name;
}

TrainOptions short_options(std::string loss, std::string optimizer) {
  TrainOptions options = test::tiny_options(2);
  options.p = 3;
  options.k = 2;
  options.loss = std::move(loss);
  options.optimizer = std::move(optimizer);
  return options;
}

// What the tiny net lacks: photos drawn and resized to 32 pixels.
struct SmallNet final : nn::Module {
  nn::Conv2d conv{{.in = 3, .out = 8, .kernel = 3, .stride = 2, .padding = 1, .bias = false}};
  nn::BatchNorm2d bn{{.channels = 8}};
  nn::Linear fc{{.in = 8 * 8 * 8, .out = 8}};
  Tensor forward(const Tensor& x) override {
    return fc(flatten(max_pool2d(relu(bn(conv(x))), {.kernel = 2})));
  }
  void visit(nn::Visitor& v) override { v.child("conv", conv), v.child("bn", bn), v.child("fc", fc); }
};

TEST(TrainStep, AdamWWithTheTripletLoss) {
  const SyntheticDataset people({.size = 32, .identities = 3, .photos = 2});
  const nn::InitScope seed(3);
  SmallNet net;
  TrainOptions options = short_options("triplet", "adamw");
  options.preprocess.size = 32;
  expect_steps_that_change_every_parameter(net, people, options);
}

TEST(TrainStep, SgdWithTheContrastiveLoss) {
  expect_steps_that_change_every_parameter(*test::tiny_net(), test::TinyPeople(3, 2),
                                           short_options("contrastive", "sgd"));
}

}  // namespace
}  // namespace tern
