#include "tern/core/autograd.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tern/ops/creation.h"
#include "tern/ops/reduce.h"
#include "tern/ops/shape_ops.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using test::expect_error;

// y = k x, as a minimal operation of the test's own.
struct ScaleNode final : OpNode<ScaleNode> {
  static constexpr std::string_view kName = "scale";
  Gradients backward(const Gradients& dy) override {
    if (keep.defined()) keep.get(*this);
    return {scaled(dy[0], factor)};
  }
  static Tensor scaled(const Tensor& x, double factor) {
    Tensor y = x.clone();
    auto* data = y.mutable_data<float>();
    for (int64_t i = 0; i < y.numel(); ++i) data[i] *= static_cast<float>(factor);
    return y;
  }
  double factor = 1;
  Saved keep;
};

Tensor scale(const Tensor& x, double factor) {
  return record<ScaleNode>(ScaleNode::scaled(x, factor), {x}, [&](ScaleNode& node) {
    node.factor = factor;
    node.keep = x;
  });
}

Tensor parameter(std::initializer_list<double> values) { return tensor(values).set_requires_grad(); }

TEST(Autograd, AppliesTheChainRuleAndAddsAlongPaths) {
  Tensor x = parameter({1, 2});
  const Tensor a = scale(x, 3);
  const Tensor b = stack({scale(a, 2), scale(a, 5)});
  sum(b).backward();
  EXPECT_EQ(x.grad().to_vector(), (std::vector<double>{21, 21}));
}

TEST(Autograd, RepeatedBackwardAccumulates) {
  Tensor x = parameter({1});
  sum(scale(x, 2)).backward();
  sum(scale(x, 3)).backward();
  EXPECT_EQ(x.grad().item(), 5);
  x.clear_grad();
  EXPECT_FALSE(x.grad().defined());
  const Tensor y = sum(scale(x, 2));
  y.backward({.retain_graph = true});
  y.backward();
  EXPECT_EQ(x.grad().item(), 4);
  expect_error<UsageError>([&] { y.backward(); }, {"retain_graph"});
}

TEST(Autograd, AccumulationDoesNotWriteIntoSharedGradients) {
  Tensor x = parameter({1}), z = parameter({1});
  const Tensor y = concat({x, z});
  const Tensor seed = tensor({1, 2});
  y.backward(seed, {.retain_graph = true});
  const Tensor held = x.grad();
  y.backward(seed);
  EXPECT_EQ(held.item(), 1);
  EXPECT_EQ(x.grad().item(), 2);
  EXPECT_EQ(z.grad().item(), 4);
  EXPECT_EQ(seed.to_vector(), (std::vector<double>{1, 2}));
}

TEST(Autograd, OnlyWhatNeedsAGradientIsRecorded) {
  const Tensor constant = tensor({1, 2});
  EXPECT_FALSE(scale(constant, 2).requires_grad());
  Tensor x = parameter({1, 2});
  {
    NoGradGuard no_grad;
    EXPECT_FALSE(scale(x, 2).requires_grad());
  }
  EXPECT_TRUE(scale(x, 2).requires_grad());
  EXPECT_FALSE(scale(x, 2).detach().requires_grad());
  expect_error<UsageError>([&] { sum(constant).backward(); }, {"does not require a gradient"});
}

TEST(Autograd, StaleSavedTensorsAndSecondDerivativesAreNamed) {
  Tensor x = parameter({1, 2});
  const Tensor y = sum(scale(x, 2));
  {
    NoGradGuard no_grad;
    x.set_name("conv1.weight").fill(3);
  }
  expect_error<UsageError>([&] { y.backward(); }, {"scale", "changed in place"});
  expect_error<UsageError>([&] { sum(scale(x, 2)).backward({.create_graph = true}); },
                           {"second derivatives"});
  expect_error<UsageError>([&] { x.fill(1); }, {"NoGradGuard"});
  expect_error<DTypeError>([] { arange(0, 3).set_requires_grad(); }, {"i64"});
}

TEST(Autograd, FiniteCheckNamesTheOperation) {
  Tensor x = parameter({1, std::numeric_limits<double>::infinity()});
  FiniteCheckGuard guard;
  expect_error<NumericError>([&] { scale(x, 2); }, {"scale", "not finite"});
}

TEST(LongAutograd, ChainOfAMillionNodesNeitherOverflowsOnBackwardNorWhenDropped) {
  constexpr int kNodes = 1000000;
  Tensor x = parameter({1});
  const auto chain = [&] {
    Tensor y = x;
    for (int i = 0; i < kNodes; ++i) y = reshape(y, {1});
    return y;
  };
  sum(chain()).backward();
  EXPECT_EQ(x.grad().item(), 1);
  chain();  // dropped without backward
}

}  // namespace
}  // namespace tern
