#include "tern/nn/siamese.h"

#include <gtest/gtest.h>

#include "tern/nn/layers.h"
#include "tern/nn/sequential.h"
#include "tern/nn/state_dict.h"
#include "tern/ops/pointwise.h"
#include "tern/ops/reduce.h"
#include "tests/support/tensors.h"

namespace tern::nn {
namespace {

using test::expect_close;
using test::random_tensor;

Sequential small_trunk() {
  return Sequential{Conv2d{{.in = 2, .out = 8, .kernel = 3, .stride = 2, .padding = 1}},
                    BatchNorm2d{{.channels = 8, .relu = true}},
                    Conv2d{{.in = 8, .out = 8, .kernel = 3, .padding = 1}},
                    GlobalAvgPool2d{},
                    Linear{{.in = 8, .out = 5}},
                    L2Normalize{}};
}

std::vector<Tensor> inputs() {
  return {random_tensor({3, 9, 9, 2}, DType::F32, 1), random_tensor({2, 9, 9, 2}, DType::F32, 2),
          random_tensor({4, 9, 9, 2}, DType::F32, 3)};
}

// Rows of two [N,D] tensors of unit length point the same way.
void expect_cosine(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.shape(), b.shape());
  const auto av = a.to_vector(), bv = b.to_vector();
  for (int64_t row = 0; row < a.size(0); ++row) {
    double dot = 0;
    for (int64_t k = 0; k < a.size(1); ++k) dot += av[row * a.size(1) + k] * bv[row * a.size(1) + k];
    EXPECT_NEAR(dot, 1, 1e-6);
  }
}

TEST(Siamese, EqualsBranchByBranchInEvaluation) {
  Sequential trunk = small_trunk();
  trunk(inputs()[0]);  // running statistics that are not the initial ones
  Siamese net{trunk};
  net.eval();
  trunk.eval();
  const auto x = inputs();
  const auto joint = net(x[0], x[1], x[2]);
  for (size_t i = 0; i < 3; ++i) {
    expect_cosine(joint[i], trunk(x[i]));
    expect_close(joint[i], trunk(x[i]), 1e-6);
  }
  Siamese apart{trunk, {.joint_batch = false}};
  apart.eval();
  const auto separate = apart(x[0], x[1], x[2]);
  for (size_t i = 0; i < 3; ++i) expect_cosine(separate[i], joint[i]);
}

TEST(Siamese, GradientIsTheSumOverTheBranches) {
  Sequential trunk = small_trunk();
  trunk.eval();  // batch statistics would tie the branches together
  const auto x = inputs();
  const auto weigh = [](const Tensor& e, uint64_t seed) {
    return sum(mul(e, random_tensor(e.shape(), DType::F32, seed)));
  };
  Siamese net{trunk};
  net.eval();
  const auto e = net(x[0], x[1], x[2]);
  add(add(weigh(e[0], 5), weigh(e[1], 6)), weigh(e[2], 7)).backward();

  std::vector<Sequential> alone(3, trunk);  // three copies of the weights
  for (size_t i = 0; i < 3; ++i) weigh(alone[i](x[i]), 5 + i).backward();
  const auto shared = net.named_parameters();
  for (size_t p = 0; p < shared.size(); ++p) {
    Tensor total = alone[0].parameters()[p].grad();
    for (size_t i = 1; i < 3; ++i) total = add(total, alone[i].parameters()[p].grad());
    SCOPED_TRACE(shared[p].name);
    expect_close(shared[p].tensor.grad(), total, 2e-5);
  }
}

TEST(Siamese, JointStatisticsOrEachBranchItsOwn) {
  const auto x = inputs();
  Sequential trunk = small_trunk();
  Siamese joint{trunk}, apart{trunk, {.joint_batch = false}};
  joint(x[0], x[1], x[2]);
  apart(x[0], x[1], x[2]);
  for (const Tensor& input : x) trunk(input);
  const auto count = [](Module& m) { return m.named_buffers().back().tensor.item(); };
  EXPECT_EQ(count(joint), 1);
  EXPECT_EQ(count(apart), 3);
  test::expect_equal_bits(apart.named_buffers()[0].tensor, trunk.named_buffers()[0].tensor);
}

TEST(Siamese, OneCopyOfTheWeightsInTheFile) {
  Sequential trunk = small_trunk();
  Siamese net{trunk};
  EXPECT_EQ(net.num_parameters(), trunk.num_parameters());
  const TensorMap file = state_dict(net);
  EXPECT_EQ(file.size(), state_dict(trunk).size());
  EXPECT_TRUE(file.contains("trunk.0.weight"));
}

TEST(Siamese, SharesAPointerAndCopiesAValue) {
  auto trunk = std::make_shared<Linear>(LinearOptions{.in = 2, .out = 2});
  Siamese net{trunk};
  EXPECT_TRUE(same_data(net.parameters()[0], trunk->weight));
  Siamese copied{*trunk};
  EXPECT_FALSE(same_data(copied.parameters()[0], trunk->weight));
  EXPECT_FALSE(same_data(Siamese(copied).parameters()[0], copied.parameters()[0]));
}

TEST(Siamese, Errors) {
  Siamese net{small_trunk()};
  test::expect_error<ShapeError>(
      [&] {
        net(random_tensor({2, 9, 9, 2}), random_tensor({2, 8, 9, 2}));
      },
      {"siamese", "[2,9,9,2]", "[2,8,9,2]"});
  test::expect_error<ShapeError>(
      [&] {
        net(random_tensor({2, 9, 9, 3}), random_tensor({2, 9, 9, 3}));
      },
      {"in trunk.0"});
  EXPECT_THROW(net.branches({}), UsageError);
  EXPECT_EQ(net.branches({random_tensor({2, 9, 9, 2})}).size(), 1u);
}

}  // namespace
}  // namespace tern::nn
