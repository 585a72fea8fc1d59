// Operations against PyTorch: values to 1e-5, gradients to 1e-5 (1e-4 for the triplet loss with PyTorch's
// eps).

#include <gtest/gtest.h>

#include <limits>

#include "tern/core/autograd.h"
#include "tern/ops/batch_norm.h"
#include "tern/ops/conv2d.h"
#include "tern/ops/cross_entropy.h"
#include "tern/ops/instance_norm.h"
#include "tern/ops/l2_normalize.h"
#include "tern/ops/linear.h"
#include "tern/ops/pool2d.h"
#include "tern/ops/prelu.h"
#include "tern/ops/triplet_margin_loss.h"
#include "tests/golden/golden.h"

namespace tern {
namespace {

using test::expect_close;
using test::Golden;

constexpr double kTolerance = 1e-5;

TEST(Golden, Conv2d) {
  const Golden golden("conv2d");
  ASSERT_EQ(golden.cases.size(), 36u);
  for (size_t i = 0; i < golden.cases.size(); ++i) {
    SCOPED_TRACE(i);
    const auto& c = golden.cases[i];
    const Tensor x = golden.leaf(i, "x"), w = golden.leaf(i, "w");
    const Tensor b = c["bias"] ? golden.leaf(i, "b") : Tensor();
    const Tensor y = conv2d(x, w, b,
                            {.stride = c["stride"].get<int64_t>(),
                             .padding = c["padding"].get<int64_t>(),
                             .dilation = c["dilation"].get<int64_t>(),
                             .groups = c["groups"].get<int64_t>()});
    expect_close(y, golden.nhwc(i, "y"), kTolerance);
    y.backward(golden.nhwc(i, "dy"));
    expect_close(x.grad(), golden.nhwc(i, "dx"), kTolerance);
    expect_close(w.grad(), golden.nhwc(i, "dw"), kTolerance);
    if (b.defined()) expect_close(b.grad(), golden.get(i, "db"), kTolerance);
  }
}

Tensor run_layer(const nlohmann::json& c, const std::string& kind, const Golden& golden, size_t i,
                 const Tensor& x, std::vector<std::pair<std::string, Tensor>>& parameters) {
  const auto parameter = [&](const std::string& name) {
    parameters.emplace_back(name, golden.leaf(i, name));
    return parameters.back().second;
  };
  if (kind == "max_pool2d")
    return max_pool2d(x, {.kernel = c["kernel"], .stride = c["stride"], .padding = c["padding"]});
  if (kind == "avg_pool2d")
    return avg_pool2d(x, {.kernel = c["kernel"], .stride = c["stride"], .padding = c["padding"]});
  if (kind == "global_avg_pool2d") return global_avg_pool2d(x);
  if (kind == "linear") {
    const Tensor w = parameter("w");
    return linear(x, w, parameter("b"));
  }
  if (kind == "cross_entropy")
    return cross_entropy(
        x, golden.get(i, "labels"),
        {.label_smoothing = c["smoothing"], .reduction = test::reduction_of(c["reduction"])});
  if (kind == "prelu") return prelu(x, parameter("a"));
  return l2_normalize(x);
}

TEST(Golden, Layers) {
  const Golden golden("layers");
  ASSERT_EQ(golden.cases.size(), 16u);
  for (size_t i = 0; i < golden.cases.size(); ++i) {
    const std::string kind = golden.cases[i]["kind"];
    SCOPED_TRACE(kind + " " + std::to_string(i));
    const Tensor x = golden.leaf(i, "x");
    std::vector<std::pair<std::string, Tensor>> parameters;
    const Tensor y = run_layer(golden.cases[i], kind, golden, i, x, parameters);
    expect_close(y, golden.nhwc(i, "y"), kTolerance);
    y.backward(golden.nhwc(i, "dy"));
    expect_close(x.grad(), golden.nhwc(i, "dx"), kTolerance);
    for (const auto& [name, tensor] : parameters)
      expect_close(tensor.grad(), golden.get(i, "d" + name), kTolerance);
  }
}

TEST(Golden, BatchNormOverThreeStepsAndInEvaluation) {
  const Golden golden("batch_norm");
  const Tensor gamma = golden.get("weight").clone().set_requires_grad();
  const Tensor beta = golden.get("bias").clone().set_requires_grad();
  Tensor mean = Tensor::empty({5}), var = Tensor::empty({5});
  mean.fill(0);
  var.fill(1);
  for (size_t i = 0; i < golden.cases.size(); ++i) {
    SCOPED_TRACE(i);
    const Tensor x = golden.leaf(i, "x");
    const Tensor y = batch_norm(x, gamma, beta, mean, var, {.training = golden.cases[i]["training"]});
    expect_close(y, golden.nhwc(i, "y"), kTolerance);
    Tensor(gamma).clear_grad();
    Tensor(beta).clear_grad();
    y.backward(golden.nhwc(i, "dy"));
    expect_close(x.grad(), golden.nhwc(i, "dx"), kTolerance);
    expect_close(gamma.grad(), golden.get(i, "dweight"), kTolerance);
    expect_close(beta.grad(), golden.get(i, "dbias"), kTolerance);
    expect_close(mean, golden.get(i, "running_mean"), kTolerance);
    expect_close(var, golden.get(i, "running_var"), kTolerance);
  }
}

TEST(Golden, InstanceNorm) {
  const Golden golden("instance_norm");
  ASSERT_EQ(golden.cases.size(), 3u);
  for (size_t i = 0; i < golden.cases.size(); ++i) {
    SCOPED_TRACE(i);
    const bool affine = golden.cases[i]["affine"];
    const Tensor x = golden.leaf(i, "x");
    const Tensor weight = affine ? golden.leaf(i, "weight") : Tensor();
    const Tensor bias = affine ? golden.leaf(i, "bias") : Tensor();
    const Tensor y = instance_norm(x, weight, bias, {.eps = golden.cases[i]["eps"]});
    expect_close(y, golden.nhwc(i, "y"), kTolerance);
    y.backward(golden.nhwc(i, "dy"));
    expect_close(x.grad(), golden.nhwc(i, "dx"), kTolerance);
    if (!affine) continue;
    expect_close(weight.grad(), golden.get(i, "dweight"), kTolerance);
    expect_close(bias.grad(), golden.get(i, "dbias"), kTolerance);
  }
}

double power_of(const nlohmann::json& c) {
  return c["p"].is_string() ? std::numeric_limits<double>::infinity() : c["p"].get<double>();
}

TEST(Golden, TripletMarginLossWithPyTorchsEps) {
  const Golden golden("triplet");
  ASSERT_EQ(golden.cases.size(), 48u);
  for (size_t i = 0; i < golden.cases.size(); ++i) {
    SCOPED_TRACE(golden.cases[i].dump());
    const auto& c = golden.cases[i];
    const double p = power_of(c);
    const Tensor a = golden.leaf(i, "a"), pos = golden.leaf(i, "p"), neg = golden.leaf(i, "n");
    const Tensor y = triplet_margin_loss(a, pos, neg,
                                         {.margin = c["margin"],
                                          .p = p,
                                          .swap = c["swap"],
                                          .reduction = test::reduction_of(c["reduction"]),
                                          .eps = TripletEps::Torch});
    expect_close(y, golden.get(i, "y"), 1e-5);
    y.backward(golden.get(i, "dy"));
    expect_close(a.grad(), golden.get(i, "da"), 1e-4);
    expect_close(pos.grad(), golden.get(i, "dp"), 1e-4);
    expect_close(neg.grad(), golden.get(i, "dn"), 1e-4);
  }
}

TEST(Golden, TripletMarginLossInDouble) {
  const Golden golden("triplet_f64");
  ASSERT_EQ(golden.cases.size(), 20u);
  for (size_t i = 0; i < golden.cases.size(); ++i)
    for (const DType dtype : {DType::F64, DType::F32}) {
      const auto& c = golden.cases[i];
      SCOPED_TRACE(concat_text(c.dump(), " ", dtype));
      const auto point = [&](const char* name) {
        return golden.get(name).to(dtype).clone().set_requires_grad();
      };
      const Tensor a = point("a"), pos = point("p"), neg = point("n");
      const Tensor y = triplet_margin_loss(a, pos, neg,
                                           {.margin = c["margin"],
                                            .p = power_of(c),
                                            .swap = c["swap"],
                                            .reduction = Reduction::None,
                                            .eps = TripletEps::Torch});
      y.backward(golden.get("dy").to(dtype));
      const bool wide = dtype == DType::F64;
      expect_close(y, golden.get(i, "y"), wide ? 1e-13 : 1e-6);
      expect_close(a.grad(), golden.get(i, "da"), wide ? 1e-9 : 1e-6);
      expect_close(pos.grad(), golden.get(i, "dp"), wide ? 1e-9 : 1e-6);
      expect_close(neg.grad(), golden.get(i, "dn"), wide ? 1e-9 : 1e-6);
    }
}

}  // namespace
}  // namespace tern
