#include "tern/ops/cross_entropy.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/gradcheck.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using test::random_ints;
using test::random_tensor;
using Inputs = std::vector<Tensor>;

// -sum_c t_c log p_c, as it is defined.
double naive_loss(const float* x, int64_t C, int64_t label, double e) {
  double s = 0, loss = 0;
  for (int64_t c = 0; c < C; ++c) s += std::exp(static_cast<double>(x[c]));
  for (int64_t c = 0; c < C; ++c) {
    const double t = (c == label ? 1 - e : 0) + e / static_cast<double>(C);
    loss -= t * (static_cast<double>(x[c]) - std::log(s));
  }
  return loss;
}

TEST(GradCheck, cross_entropy) {
  const Tensor labels = random_ints({4}, DType::I64, 3, 0, 4);
  for (const Reduction reduction : {Reduction::Mean, Reduction::Sum, Reduction::None})
    for (const double e : {0.0, 0.1})
      test::gradcheck(
          [&](const Inputs& x) {
            return cross_entropy(x[0], labels, {.label_smoothing = e, .reduction = reduction});
          },
          {random_tensor({4, 5}, DType::F64)});
}

TEST(CrossEntropy, AgreesWithTheDefinition) {
  test::for_each_isa([](cpu::Isa) {
    for (const int64_t C : {1, 2, 3, 16, 17, 100, 1003})
      for (const double e : {0.0, 0.2, 1.0}) {
        const Tensor x = random_tensor({7, C}),
                     labels = random_ints({7}, DType::I64, 3, 0, static_cast<int>(C) - 1);
        std::vector<double> want;
        double total = 0;
        for (int64_t n = 0; n < 7; ++n) {
          want.push_back(naive_loss(x.data<float>() + n * C, C, labels.data<int64_t>()[n], e));
          total += want.back();
        }
        const auto loss = [&](Reduction r) {
          return cross_entropy(x, labels, {.label_smoothing = e, .reduction = r});
        };
        const Tensor each = loss(Reduction::None);
        ASSERT_EQ(each.shape(), Shape({7}));
        for (size_t n = 0; n < 7; ++n)
          EXPECT_NEAR(each.to_vector()[n], want[n], 2e-6 * std::max(1.0, want[n]));
        EXPECT_NEAR(loss(Reduction::Sum).item(), total, 1e-5 * std::max(1.0, total));
        EXPECT_NEAR(loss(Reduction::Mean).item(), total / 7, 1e-5 * std::max(1.0, total / 7));
      }
  });
}

TEST(CrossEntropy, GradientsInF32AgreeWithF64) {
  const Tensor x64 = random_tensor({6, 37}, DType::F64), labels = random_ints({6}, DType::I64, 3, 0, 36);
  Tensor wide = x64.clone();
  wide.set_requires_grad();
  cross_entropy(wide, labels, {.label_smoothing = 0.1}).backward();
  test::for_each_isa([&](cpu::Isa) {
    Tensor x = x64.to(DType::F32).detach();
    x.set_requires_grad();
    cross_entropy(x, labels, {.label_smoothing = 0.1}).backward();
    test::expect_close(x.grad(), wide.grad(), 2e-6);
  });
}

TEST(CrossEntropy, ConfidentRowsStayExact) {
  const Tensor x = Tensor::from_data(std::vector<float>{1000, 0, 0, 1000}, {2, 2});
  const Tensor labels = Tensor::from_data(std::vector<int64_t>{0, 0}, {2});
  EXPECT_EQ(cross_entropy(x, labels, {.reduction = Reduction::None}).to_vector(),
            (std::vector<double>{0, 1000}));
}

TEST(CrossEntropy, NoRowsGiveZero) {
  const Tensor x = random_tensor({0, 3}), labels = Tensor::empty({0}, {DType::I64});
  EXPECT_EQ(cross_entropy(x, labels).item(), 0);
}

TEST(CrossEntropy, RefusesWhatItCannotDo) {
  const Tensor x = random_tensor({2, 3});
  const auto labels = [](std::vector<int64_t> v) {
    return Tensor::from_data(v, {static_cast<int64_t>(v.size())});
  };
  test::expect_error<UsageError>(
      [&] {
        cross_entropy(x, labels({0, 3}));
      },
      {"label 3", "sample 1", "0 .. 2"});
  test::expect_error<UsageError>([&] { cross_entropy(x, labels({-1, 0})); }, {"label -1", "sample 0"});
  test::expect_error<ShapeError>([&] { cross_entropy(x, labels({0})); }, {"[2,3]", "[1]"});
  test::expect_error<ShapeError>([&] { cross_entropy(random_tensor({6}), labels({0})); }, {"[6]"});
  test::expect_error<DTypeError>([&] { cross_entropy(x, random_tensor({2})); }, {"labels"});
  test::expect_error<UsageError>(
      [&] {
        cross_entropy(x, labels({0, 1}), {.label_smoothing = 2});
      },
      {"label_smoothing"});
  test::expect_error<UsageError>(
      [&] {
        cross_entropy(x, labels({0, 1}), {.reduction = Reduction::MeanNonZero});
      },
      {"mean_nonzero"});
}

}  // namespace
}  // namespace tern
