#include "tern/ops/contrastive_loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tern/core/error.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tensors.h"

namespace tern::test {
namespace {

constexpr Reduction kReductions[] = {Reduction::Mean, Reduction::MeanNonZero, Reduction::Sum,
                                     Reduction::None};

template <class T>
Tensor vector_of(const std::vector<T>& values) {
  return Tensor::from_data(std::span<const T>(values), {static_cast<int64_t>(values.size())}).clone();
}

std::vector<double> row(const Tensor& x, int64_t i) {
  const std::vector<double> all = x.to_vector();
  return {all.begin() + i * x.size(1), all.begin() + (i + 1) * x.size(1)};
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t k = 0; k < a.size(); ++k) sum += (a[k] - b[k]) * (a[k] - b[k]);
  return std::sqrt(sum);
}

// Hadsell's formula as it stands in the paper.
double naive(double d, bool same, double margin) {
  return same ? 0.5 * d * d : 0.5 * std::pow(std::max(0.0, margin - d), 2);
}

double reduced(const std::vector<double>& losses, Reduction reduction) {
  double sum = 0, above = 0;
  for (const double l : losses) sum += l, above += l > 0;
  if (reduction == Reduction::Sum) return sum;
  return sum / (reduction == Reduction::Mean ? static_cast<double>(losses.size()) : above);
}

struct PairInput {
  Tensor a, b, same;
};
PairInput pair_input(int64_t n, int64_t d, DType dtype) {
  return {random_tensor({n, d}, dtype, 1), random_tensor({n, d}, dtype, 2),
          random_ints({n}, DType::I64, 3, 0, 1)};
}

TEST(GradCheck, contrastive_loss) {
  const PairInput in = pair_input(6, 3, DType::F64);
  for (const double margin : {0.0, 1.0, 2.5})
    for (const Reduction reduction : kReductions) {
      const ContrastiveOptions options{.margin = margin, .reduction = reduction};
      gradcheck([&](const std::vector<Tensor>& x) { return contrastive_loss(x[0], x[1], in.same, options); },
                {in.a, in.b});
    }
}

TEST(GradCheck, batch_contrastive_loss) {
  const Tensor e = random_tensor({7, 3}, DType::F64, 5);
  const Tensor labels = vector_of<int64_t>({3, 1, 1, 3, 2, 1, 9});
  for (const double margin : {1.0, 2.5})
    for (const Reduction reduction : kReductions) {
      const ContrastiveOptions options{.margin = margin, .reduction = reduction};
      gradcheck(
          [&](const std::vector<Tensor>& x) { return batch_contrastive_loss(x[0], labels, options).loss; },
          {e});
    }
}

TEST(ContrastiveLoss, FollowsItsFormula) {
  for (const DType dtype : {DType::F32, DType::F64}) {
    const double tolerance = dtype == DType::F32 ? 2e-7 : 1e-14;
    const PairInput in = pair_input(23, 7, dtype);
    for (const double margin : {1.0, 4.0}) {
      std::vector<double> losses;
      for (int64_t i = 0; i < 23; ++i)
        losses.push_back(
            naive(distance(row(in.a, i), row(in.b, i)), in.same.data<int64_t>()[i] == 1, margin));
      const auto loss = [&](Reduction reduction, const Tensor& same) {
        return contrastive_loss(in.a, in.b, same, {.margin = margin, .reduction = reduction});
      };
      for (const Tensor& same : {in.same, in.same.to(DType::Bool)}) {
        expect_close(loss(Reduction::None, same), vector_of(losses), tolerance);
        for (const Reduction r : {Reduction::Mean, Reduction::MeanNonZero, Reduction::Sum})
          EXPECT_NEAR(loss(r, same).item() / reduced(losses, r), 1, tolerance) << to_string(r);
      }
    }
  }
}

TEST(ContrastiveLoss, BatchFormIsTheLossOfAllItsPairs) {
  for (const DType dtype : {DType::F32, DType::F64}) {
    const double tolerance = dtype == DType::F32 ? 2e-7 : 1e-14;
    const Tensor e = random_tensor({37, 11}, dtype, 3), labels = random_ints({37}, DType::I64, 2, 0, 7);
    const int64_t* y = labels.data<int64_t>();
    std::vector<double> losses;
    for (int64_t i = 0; i < 37; ++i)
      for (int64_t j = i + 1; j < 37; ++j) {
        EXPECT_EQ(pair_index(i, j, 37), static_cast<int64_t>(losses.size()));
        losses.push_back(naive(distance(row(e, i), row(e, j)), y[i] == y[j], 4.5));
      }
    const auto loss = [&](Reduction reduction) {
      return batch_contrastive_loss(e, labels, {.margin = 4.5, .reduction = reduction}).loss;
    };
    for_each_isa([&](cpu::Isa) {
      expect_close(loss(Reduction::None), vector_of(losses), tolerance);
      for (const Reduction r : {Reduction::Mean, Reduction::MeanNonZero, Reduction::Sum})
        EXPECT_NEAR(loss(r).item() / reduced(losses, r), 1, tolerance) << to_string(r);
    });
  }
}

// The f32 gradient against the f64 one, which finite differences have checked.
TEST(ContrastiveLoss, GradientInF32MatchesF64) {
  const Tensor narrow = random_tensor({41, 19}, DType::F32, 5),
               labels = random_ints({41}, DType::I64, 7, 0, 9);
  const auto gradient = [&](Tensor x) {
    x.set_requires_grad();
    batch_contrastive_loss(x, labels, {.margin = 6}).loss.backward();
    return x.grad();
  };
  const Tensor wide = gradient(narrow.to(DType::F64));
  for_each_isa([&](cpu::Isa) { expect_close(gradient(narrow.clone()), wide, 1e-6); });
}

TEST(ContrastiveLoss, CountsWhatItSaw) {
  const Tensor e = random_tensor({29, 5}, DType::F32, 4), labels = random_ints({29}, DType::I64, 2, 0, 4);
  const int64_t* y = labels.data<int64_t>();
  const ContrastiveStats stats = batch_contrastive_loss(e, labels, {.margin = 2.5}).stats();
  int64_t same = 0, different = 0, near = 0;
  double sum_same = 0, sum_different = 0, squares = 0;
  for (int64_t i = 0; i < 29; ++i)
    for (int64_t j = i + 1; j < 29; ++j) {
      const double d = distance(row(e, i), row(e, j));
      squares += d * d;
      if (y[i] == y[j]) ++same, sum_same += d;
      else ++different, sum_different += d, near += d < 2.5;
    }
  EXPECT_EQ(stats.same, same);
  EXPECT_EQ(stats.different, different);
  EXPECT_EQ(stats.near, near);
  EXPECT_EQ(stats.active, same + near);
  EXPECT_NEAR(stats.d_same.mean, sum_same / static_cast<double>(same), 1e-12);
  EXPECT_NEAR(stats.d_different.mean, sum_different / static_cast<double>(different), 1e-12);
  EXPECT_LE(stats.d_same.p10, stats.d_same.median);
  EXPECT_LE(stats.d_same.median, stats.d_same.p90);
  EXPECT_NEAR(stats.pairwise_rms, std::sqrt(squares / static_cast<double>(same + different)), 1e-12);
  EXPECT_GT(stats.spread, 0);
}

TEST(ContrastiveLoss, CoincidentPointsHaveNoGradient) {
  Tensor a = random_tensor({2, 6}), b = a.clone();
  a.set_requires_grad(), b.set_requires_grad();
  const Tensor loss = contrastive_loss(a, b, vector_of<int64_t>({0, 1}), {.reduction = Reduction::None});
  EXPECT_EQ(loss.to_vector(), (std::vector<double>{0.5, 0}));
  loss.backward(Tensor::from_data(std::vector<float>{1, 1}, {2}));
  for (const Tensor& x : {a, b})
    for (const double g : x.grad().to_vector()) EXPECT_EQ(g, 0);

  Tensor e = Tensor::empty({4, 3});
  e.fill(0.25);
  e.set_requires_grad();
  const auto result = batch_contrastive_loss(e, vector_of<int64_t>({1, 1, 2, 2}));
  EXPECT_NEAR(result.loss.item(), 0.5 * 4 / 6, 1e-7);
  EXPECT_EQ(result.stats().pairwise_rms, 0);
  result.loss.backward();
  for (const double g : e.grad().to_vector()) EXPECT_EQ(g, 0);
}

TEST(ContrastiveLoss, OneClassSingletonsAndNoPairs) {
  const Tensor e = random_tensor({5, 4});
  const auto alike = batch_contrastive_loss(e, vector_of<int64_t>({7, 7, 7, 7, 7}));
  EXPECT_EQ(alike.stats().different, 0);
  EXPECT_EQ(alike.stats().active, 10);
  EXPECT_GT(alike.loss.item(), 0);
  const auto apart = batch_contrastive_loss(e, vector_of<int64_t>({1, 2, 3, 4, 5}), {.margin = 1e-3});
  EXPECT_EQ(apart.stats().same, 0);
  EXPECT_EQ(apart.stats().active, 0);
  EXPECT_EQ(apart.loss.item(), 0);
  for (const Reduction reduction : {Reduction::Mean, Reduction::MeanNonZero, Reduction::Sum})
    for (const int64_t n : {0, 1}) {
      Tensor x = random_tensor({n, 4});
      x.set_requires_grad();
      const Tensor labels = random_ints({n}, DType::I64, 1, 0, 1);
      const Tensor loss = batch_contrastive_loss(x, labels, {.reduction = reduction}).loss;
      EXPECT_EQ(loss.item(), 0);
      loss.backward();
      for (const double g : x.grad().to_vector()) EXPECT_EQ(g, 0);
    }
}

TEST(ContrastiveLoss, HugeValuesAndNan) {
  const float huge[] = {1e38f}, zero[] = {0}, nan[] = {std::numeric_limits<float>::quiet_NaN()};
  const auto one = [](const float* x) { return Tensor::from_data(std::span<const float>(x, 1), {1, 1}); };
  const auto loss = [&](const float* x, const float* y, int64_t same) {
    return contrastive_loss(one(x), one(y), vector_of<int64_t>({same})).item();
  };
  EXPECT_EQ(loss(huge, zero, 0), 0);
  for (const int64_t same : {0, 1}) EXPECT_TRUE(std::isnan(loss(nan, zero, same)));
}

TEST(ContrastiveLoss, HasTheSameBitsForAnyNumberOfThreads) {
  const PairInput in = pair_input(700, 33, DType::F32);
  const Tensor labels = random_ints({120}, DType::I64, 7, 0, 20);
  const Tensor loss = contrastive_loss(in.a, in.b, in.same);
  const auto batch = [&] {
    Tensor e = random_tensor({120, 33}, DType::F32, 5);
    e.set_requires_grad();
    batch_contrastive_loss(e, labels, {.margin = 8}).loss.backward();
    return e.grad();
  };
  const Tensor expected = batch();
  for_each_thread_count([&](int) {
    expect_equal_bits(contrastive_loss(in.a, in.b, in.same), loss);
    expect_equal_bits(batch(), expected);
  });
}

TEST(ContrastiveLoss, RefusesWhatDoesNotFit) {
  const Tensor a = random_tensor({4, 3}), same = vector_of<int64_t>({0, 1, 1, 0});
  expect_error<ShapeError>([&] { contrastive_loss(a, random_tensor({4, 2}), same); }, {"[4,3]", "[4,2]"});
  expect_error<ShapeError>([&] { contrastive_loss(a, a, vector_of<int64_t>({1})); }, {"same", "[4]", "[1]"});
  expect_error<DTypeError>([&] { contrastive_loss(a, a.to(DType::F64), same); }, {"f32", "f64"});
  expect_error<DTypeError>([&] { contrastive_loss(a, a, same.to(DType::F32)); }, {"same", "f32"});
  expect_error<UsageError>(
      [&] {
        contrastive_loss(a, a, vector_of<int64_t>({0, 1, 2, 0}));
      },
      {"2", "pair 2"});
  for (const double margin : {-1.0, std::nan(""), HUGE_VAL}) {
    expect_error<UsageError>([&] { contrastive_loss(a, a, same, {.margin = margin}); }, {"margin"});
    expect_error<UsageError>([&] { batch_contrastive_loss(a, same, {.margin = margin}); }, {"margin"});
  }
  expect_error<ShapeError>([&] { batch_contrastive_loss(a, vector_of<int64_t>({1})); }, {"labels", "[1]"});
  expect_error<ShapeError>([&] { batch_contrastive_loss(random_tensor({4}), same); }, {"[N,D]"});
  expect_error<DTypeError>([&] { batch_contrastive_loss(a, same.to(DType::F32)); }, {"i64"});
}

}  // namespace
}  // namespace tern::test
