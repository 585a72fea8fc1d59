#include "tern/nn/module.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "tern/nn/init.h"
#include "tern/nn/layers.h"
#include "tern/nn/sequential.h"
#include "tern/ops/conv2d.h"
#include "tern/ops/instance_norm.h"
#include "tern/ops/linear.h"
#include "tern/ops/pointwise.h"
#include "tern/ops/reduce.h"
#include "tern/ops/shape_ops.h"
#include "tests/support/tensors.h"

namespace tern::nn {
namespace {

using test::expect_equal_bits;
using test::random_tensor;

struct Block : Module {
  Conv2d conv{{.in = 2, .out = 4, .kernel = 3, .padding = 1}};
  BatchNorm2d bn{{.channels = 4, .relu = true}};
  Tensor forward(const Tensor& x) override { return bn(conv(x)); }
  void visit(Visitor& v) override { v.child("conv", conv), v.child("bn", bn); }
};

struct Net : Module {
  Block block1;
  Linear fc{{.in = 4, .out = 3}};
  Tensor forward(const Tensor& x) override { return fc(global_avg_pool2d(block1(x))); }
  void visit(Visitor& v) override { v.child("block1", block1), v.child("fc", fc); }
  std::string describe() const override { return "Net"; }
};

std::vector<std::string> names(const std::vector<NamedTensor>& tensors) {
  std::vector<std::string> all;
  for (const NamedTensor& tensor : tensors) all.push_back(tensor.name);
  return all;
}

TEST(Module, ListsItsTensorsByName) {
  Net net;
  EXPECT_EQ(names(net.named_parameters()),
            (std::vector<std::string>{"block1.conv.weight", "block1.conv.bias", "block1.bn.weight",
                                      "block1.bn.bias", "fc.weight", "fc.bias"}));
  EXPECT_EQ(names(net.named_buffers()),
            (std::vector<std::string>{"block1.bn.running_mean", "block1.bn.running_var",
                                      "block1.bn.num_batches_tracked"}));
  EXPECT_EQ(net.num_parameters(), 4 * 2 * 9 + 4 + 4 + 4 + 3 * 4 + 3);
  for (const Tensor& parameter : net.parameters()) EXPECT_TRUE(parameter.requires_grad());
  EXPECT_EQ(net.fc.bias.name(), "fc.bias") << "errors of the optimizer name the parameter";
  for (const NamedTensor& buffer : net.named_buffers()) EXPECT_FALSE(buffer.tensor.requires_grad());
}

TEST(Module, ModeReachesEveryChild) {
  Net net;
  EXPECT_TRUE(net.block1.bn.training());
  net.eval();
  EXPECT_FALSE(net.training() || net.block1.bn.training() || net.fc.training());
  net.train();
  net.fc.eval();
  {
    const EvalScope eval(net);
    EXPECT_FALSE(net.block1.bn.training());
  }
  EXPECT_TRUE(net.block1.bn.training());
  EXPECT_FALSE(net.fc.training()) << "a frozen part stays frozen";
}

TEST(Module, ErrorsCarryThePath) {
  Net net;
  test::expect_error<ShapeError>([&] { net(random_tensor({1, 8, 8, 5})); }, {"conv2d", "in block1.conv"});
  Sequential outer{ReLU{}, Net{}};
  test::expect_error<ShapeError>([&] { outer(random_tensor({1, 8, 8, 5})); }, {"in 1.block1.conv"});
  EXPECT_EQ(ErrorScope::path(), "");
}

TEST(Module, CopyIsDeep) {
  Net net;
  Net plain = net;
  Net copied = copy(net);
  for (Net* other : {&plain, &copied}) {
    const auto a = net.named_parameters(), b = other->named_parameters();
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      expect_equal_bits(a[i].tensor, b[i].tensor);
      EXPECT_FALSE(same_data(a[i].tensor, b[i].tensor)) << a[i].name;
      EXPECT_TRUE(b[i].tensor.requires_grad());
    }
    *other->block1.bn.running_mean.mutable_data<float>() = 5;
    EXPECT_EQ(net.block1.bn.running_mean.data<float>()[0], 0);
  }
  Net assigned;
  assigned = net;
  EXPECT_FALSE(same_data(assigned.fc.weight, net.fc.weight));
  expect_equal_bits(assigned.fc.weight, net.fc.weight);
}

struct Tied : Module {
  Linear a{{.in = 3, .out = 3, .bias = false}}, b{{.in = 3, .out = 3, .bias = false}};
  Tied() { b.weight = a.weight.share(); }
  Tensor forward(const Tensor& x) override { return b(a(x)); }
  void visit(Visitor& v) override { v.child("a", a), v.child("b", b); }
};

TEST(Module, SharingIsExplicitAndSurvivesCopy) {
  Tied tied;
  EXPECT_EQ(tied.num_parameters(), 9);
  EXPECT_EQ(names(tied.named_parameters()), std::vector<std::string>{"a.weight"});
  Tied other = copy(tied);
  EXPECT_TRUE(same_data(other.a.weight, other.b.weight));
  EXPECT_FALSE(same_data(other.a.weight, tied.a.weight));
}

TEST(Module, SharedGradientIsTheSumOfItsUses) {
  Tied tied;
  const Tensor x = random_tensor({2, 3});
  sum(tied(x)).backward();
  Linear a = tied.a, b = tied.b;  // the same values, apart
  sum(b(a(x))).backward();
  test::expect_close(tied.a.weight.grad(), add(a.weight.grad(), b.weight.grad()), 1e-6);
}

TEST(Module, SummaryCounts) {
  Net net;
  const std::string text = net.summary();
  for (const char* part : {"block1.conv", "Conv2d(2 -> 4, 3x3, padding 1)", "76", "BatchNorm2d(4, relu)",
                           "Linear(4 -> 3)", "Net", "total", "99"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " is not in\n" << text;
  }
}

TEST(Module, FreezingStopsGradients) {
  Net net;
  net.block1.set_requires_grad(false);
  sum(net(random_tensor({2, 6, 6, 2}))).backward();
  EXPECT_FALSE(net.block1.conv.weight.grad().defined());
  EXPECT_TRUE(net.fc.weight.grad().defined());
  net.zero_grad();
  EXPECT_FALSE(net.fc.weight.grad().defined());
}

TEST(Module, FirstCallFromManyThreads) {
  Net net;
  net.eval();
  const Tensor x = random_tensor({1, 8, 8, 2});
  std::vector<Tensor> outputs(4);
  std::vector<std::thread> threads;
  for (Tensor& output : outputs) {
    threads.emplace_back([&] {
      const NoGradGuard no_grad;
      output = net(x);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Tensor& output : outputs) expect_equal_bits(output, outputs[0]);
}

TEST(Init, KeyedBySeedAndOrder) {
  const auto weights = [](uint64_t seed) {
    const InitScope scope(seed);
    Net net;
    return net.named_parameters();
  };
  const auto a = weights(1), b = weights(1), c = weights(2);
  expect_equal_bits(a[0].tensor, b[0].tensor);
  EXPECT_FALSE(test::equal_bits(a[0].tensor, c[0].tensor));
  Linear first{{.in = 3, .out = 3}}, second{{.in = 3, .out = 3}};
  EXPECT_FALSE(test::equal_bits(first.weight, second.weight)) << "no two layers start alike";
}

TEST(Init, RangeIsPyTorchs) {
  Conv2d conv{{.in = 8, .out = 64, .kernel = 5}};
  const double bound = 1 / std::sqrt(8 * 25.0);
  const auto values = conv.weight.to_vector();
  double low = 0, high = 0, squares = 0;
  for (const double v : values) low = std::min(low, v), high = std::max(high, v), squares += v * v;
  EXPECT_GE(low, -bound);
  EXPECT_LE(high, bound);
  EXPECT_LT(low, -0.99 * bound);
  EXPECT_GT(high, 0.99 * bound);
  EXPECT_NEAR(squares / static_cast<double>(values.size()), bound * bound / 3, 0.03 * bound * bound);
  for (const double v : conv.bias.to_vector()) EXPECT_LE(std::abs(v), bound);
}

TEST(Layers, AreTheirOps) {
  const Tensor x = random_tensor({2, 6, 5, 4});
  Conv2d conv{
      {.in = 4, .out = 6, .kernel = {3, 2}, .stride = 2, .padding = {1, 0}, .dilation = 1, .groups = 2}};
  expect_equal_bits(conv(x), conv2d(x, conv.weight, conv.bias,
                                    {.stride = 2, .padding = {1, 0}, .dilation = 1, .groups = 2}));
  expect_equal_bits(MaxPool2d{{.kernel = 2}}(x), max_pool2d(x, {.kernel = 2}));
  expect_equal_bits(AvgPool2d{{.kernel = 2}}(x), avg_pool2d(x, {.kernel = 2}));
  expect_equal_bits(ReLU{}(x), relu(x));
  expect_equal_bits(Flatten{}(x), flatten(x));
  Linear fc{{.in = 4, .out = 2, .bias = false}};
  expect_equal_bits(fc(random_tensor({3, 4})), linear(random_tensor({3, 4}), fc.weight));
  EXPECT_FALSE(fc.bias.defined());
  EXPECT_THROW(Linear({.in = 0, .out = 1}), UsageError);
  EXPECT_THROW(Conv2d({.in = 3, .out = 4, .groups = 2}), UsageError);
}

TEST(Layers, BatchNormKeepsStatistics) {
  BatchNorm2d bn{{.channels = 1}};
  const Tensor x = Tensor::from_data(std::vector<float>{0, 2}, {2, 1, 1, 1});
  bn(x);
  // PyTorch's corner case: batch {0,2} gives mean 0.1 and unbiased variance 1.1.
  EXPECT_NEAR(bn.running_mean.item(), 0.1, 1e-7);
  EXPECT_NEAR(bn.running_var.item(), 1.1, 1e-6);
  EXPECT_EQ(bn.num_batches_tracked.item(), 1);
  bn.eval();
  bn(x);
  EXPECT_EQ(bn.num_batches_tracked.item(), 1);
}

TEST(Layers, InstanceNormHasPyTorchsNamesAndOnlyIfAsked) {
  InstanceNorm2d plain{{.channels = 3}}, affine{{.channels = 3, .eps = 1e-3, .affine = true}};
  EXPECT_TRUE(plain.named_parameters().empty());
  EXPECT_EQ(names(affine.named_parameters()), (std::vector<std::string>{"weight", "bias"}));
  EXPECT_TRUE(affine.named_buffers().empty());
  const Tensor x = random_tensor({2, 4, 5, 3});
  expect_equal_bits(plain(x), instance_norm(x));
  affine.weight.mutable_data<float>()[1] = 2;
  affine.bias.mutable_data<float>()[2] = -1;
  const Tensor y = affine(x);
  expect_equal_bits(y, instance_norm(x, affine.weight, affine.bias, {.eps = 1e-3}));
  affine.eval();
  expect_equal_bits(affine(x), y);
  EXPECT_EQ(affine.describe(), "InstanceNorm2d(3, affine)");
  EXPECT_THROW(plain(random_tensor({2, 4, 5, 4})), ShapeError);
  EXPECT_THROW(InstanceNorm2d{{}}, UsageError);
}

// One step for three modules: the numbers and gradients are those of one after the other.
TEST(Layers, SequentialRunsConvolutionBatchNormAndActivationAsOne) {
  for (const bool prelu : {true, false}) {
    Sequential joined{Conv2d{{.in = 3, .out = 5, .padding = 1, .bias = false}}, BatchNorm2d{{.channels = 5}}};
    joined.add(prelu ? ModuleHandle(PReLU{{.channels = 5}}) : ModuleHandle(ReLU{}));
    Sequential apart = nn::copy(joined);
    const Tensor x = test::random_tensor({2, 6, 5, 3}), dy = test::random_tensor({2, 6, 5, 5}, DType::F32, 2);
    const Tensor y = joined(x), z = apart[2](apart[1](apart[0](x)));
    test::expect_close(y, z, 1e-6);
    y.backward(dy);
    z.backward(dy);
    const auto a = joined.named_parameters(), b = apart.named_parameters();
    ASSERT_EQ(a.size(), prelu ? 4u : 3u);
    for (size_t i = 0; i < a.size(); ++i) test::expect_close(a[i].tensor.grad(), b[i].tensor.grad(), 1e-5);
  }
}

TEST(Layers, BatchNormAddsTheResidual) {
  BatchNorm2d fused{{.channels = 3, .relu = true}}, plain{{.channels = 3}};
  const Tensor x = random_tensor({2, 4, 4, 3}, DType::F32, 1), r = random_tensor({2, 4, 4, 3}, DType::F32, 2);
  test::expect_close(fused(x, {.residual = r}), relu(add(plain(x), r)), 1e-6);
}

// Against PyTorch's definition of the windows, for every pair of sizes.
TEST(Layers, AdaptiveAvgPool) {
  for (int64_t h : {1, 2, 3, 4, 5, 7, 8}) {
    for (int64_t w : {4, 6, 8}) {
      const Tensor x = random_tensor({2, h, w, 3});
      const Tensor y = AdaptiveAvgPool2d{{.out = 4}}(x);
      ASSERT_EQ(y.shape(), (Shape{2, 4, 4, 3}));
      const auto xv = x.to_vector(), yv = y.to_vector();
      for (int64_t n = 0; n < 2; ++n)
        for (int64_t i = 0; i < 4; ++i)
          for (int64_t j = 0; j < 4; ++j)
            for (int64_t c = 0; c < 3; ++c) {
              double total = 0;
              int64_t count = 0;
              for (int64_t a = i * h / 4; a < ((i + 1) * h + 3) / 4; ++a)
                for (int64_t b = j * w / 4; b < ((j + 1) * w + 3) / 4; ++b, ++count)
                  total += xv[static_cast<size_t>(((n * h + a) * w + b) * 3 + c)];
              EXPECT_NEAR(yv[static_cast<size_t>(((n * 4 + i) * 4 + j) * 3 + c)],
                          total / static_cast<double>(count), 1e-5);
            }
    }
  }
  const Tensor same = random_tensor({1, 4, 4, 2});
  expect_equal_bits(AdaptiveAvgPool2d{{.out = 4}}(same), same);
}

TEST(Layers, DropoutRepeatsAStep) {
  const InitScope scope(1);
  Dropout dropout{{.p = 0.4}}, other{{.p = 0.4}};
  const Tensor x = Tensor::from_data(std::vector<float>(2000, 1.0f), {2000});
  dropout.set_step(7);
  const Tensor first = dropout(x), second = dropout(x);
  dropout.set_step(7);
  expect_equal_bits(dropout(x), first);
  EXPECT_FALSE(test::equal_bits(first, second)) << "two calls in one step differ";
  EXPECT_FALSE(test::equal_bits(other(x), first)) << "two layers differ";
  EXPECT_NEAR(mean(first).item(), 1, 0.1);
  dropout.eval();
  expect_equal_bits(dropout(x), x);
  EXPECT_THROW(Dropout({.p = 1}), UsageError);
  Sequential net{ReLU{}, Dropout{{.p = 0.5}}};
  set_dropout_step(net, 3);
  const Tensor a = net(x);
  set_dropout_step(net, 3);
  expect_equal_bits(net(x), a);
}

TEST(Sequential, OwnsCopiesAndShares) {
  auto shared = std::make_shared<Linear>(LinearOptions{.in = 3, .out = 3});
  Sequential net{Linear{{.in = 3, .out = 3}}, ReLU{}, shared};
  EXPECT_EQ(names(net.named_parameters()),
            (std::vector<std::string>{"0.weight", "0.bias", "2.weight", "2.bias"}));
  Sequential other = net;
  EXPECT_FALSE(same_data(static_cast<Linear&>(other[0]).weight, static_cast<Linear&>(net[0]).weight));
  EXPECT_TRUE(same_data(static_cast<Linear&>(other[2]).weight, shared->weight));
  const Tensor x = random_tensor({2, 3});
  expect_equal_bits(net(x), other(x));
  Sequential moved = std::move(other);
  expect_equal_bits(net(x), moved(x));
  Sequential nested{net, Flatten{}};
  EXPECT_EQ(names(nested.named_parameters())[0], "0.0.weight");
  EXPECT_THROW(Sequential{std::shared_ptr<Module>()}, UsageError);
}

}  // namespace
}  // namespace tern::nn
