#include "tern/ops/l2_normalize.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tern/core/error.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tensors.h"

namespace tern::test {
namespace {

TEST(GradCheck, l2_normalize) {
  gradcheck([](const std::vector<Tensor>& x) { return l2_normalize(x[0]); },
            {random_tensor({4, 5}, DType::F64, 3)});
  gradcheck([](const std::vector<Tensor>& x) { return l2_normalize(x[0]); },
            {random_tensor({2, 3, 1}, DType::F64, 3)});
}

TEST(L2Normalize, DividesRowsByTheirLength) {
  const float x[] = {3, 4, 0, -5, 1e-30f, 0};
  const Tensor y = l2_normalize(Tensor::from_data(std::span<const float>(x), {3, 2}));
  const std::vector<double> expected = {0.6f, 0.8f, 0, -1, 1e-18f, 0};  // the last is below eps: x / eps
  for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(y.to_vector()[i], expected[i], 1e-7 * std::abs(expected[i]));
}

TEST(L2Normalize, ZeroRowsGiveZeroAndZeroGradient) {
  Tensor x = random_tensor({3, 4});
  for (int64_t k = 4; k < 8; ++k) x.mutable_data<float>()[k] = 0;
  x.set_requires_grad();
  const Tensor y = l2_normalize(x);
  y.backward(random_tensor({3, 4}, DType::F32, 2));
  for (size_t k = 4; k < 8; ++k) {
    EXPECT_EQ(y.to_vector()[k], 0);
    EXPECT_EQ(x.grad().to_vector()[k], 0);
  }
  EXPECT_NE(x.grad().to_vector()[0], 0);
}

TEST(L2Normalize, HasTheSameBitsEverywhere) {
  const Tensor x = random_tensor({67, 45}, DType::F32, 8);
  const Tensor y = l2_normalize(x);
  for_each_isa([&](cpu::Isa) { for_each_thread_count([&](int) { expect_equal_bits(l2_normalize(x), y); }); });
  expect_close(y, l2_normalize(x.to(DType::F64)), 1e-7);
}

TEST(L2Normalize, SurvivesLengthsBeyondFloat) {
  const float x[] = {3e38f, 3e38f};
  const Tensor y = l2_normalize(Tensor::from_data(std::span<const float>(x), {1, 2}));
  EXPECT_NEAR(y.to_vector()[0], std::sqrt(0.5), 1e-7);
  EXPECT_EQ(l2_normalize(Tensor::empty({0, 4})).numel(), 0);
  EXPECT_EQ(l2_normalize(Tensor::empty({4, 0})).numel(), 0);
}

TEST(L2Normalize, RefusesWhatDoesNotFit) {
  expect_error<ShapeError>([] { l2_normalize(Tensor::empty({})); }, {"axis"});
  expect_error<DTypeError>([] { l2_normalize(Tensor::empty({2, 2}, {.dtype = DType::I64})); }, {"i64"});
  expect_error<UsageError>([] { l2_normalize(random_tensor({2, 2}), {.eps = 0}); }, {"eps"});
}

}  // namespace
}  // namespace tern::test
