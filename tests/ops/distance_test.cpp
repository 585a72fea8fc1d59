#include "tern/ops/distance.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tern/core/error.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tensors.h"

namespace tern::test {
namespace {

constexpr double kPowers[] = {1, 2, 3, 1.5, HUGE_VAL};
constexpr Distance kDistances[] = {Distance::Euclidean, Distance::SquaredEuclidean, Distance::Cosine};

double naive(const std::vector<double>& x, size_t i, const std::vector<double>& y, size_t j, size_t d,
             Distance distance) {
  double sum = 0, xy = 0, xx = 0, yy = 0;
  for (size_t k = 0; k < d; ++k) {
    const double a = x[i * d + k], b = y[j * d + k];
    sum += (a - b) * (a - b);
    xy += a * b, xx += a * a, yy += b * b;
  }
  if (distance == Distance::Cosine) return xx == 0 || yy == 0 ? 1 : 1 - xy / std::sqrt(xx * yy);
  return distance == Distance::Euclidean ? std::sqrt(sum) : sum;
}

TEST(GradCheck, pairwise_distance) {
  for (const double p : kPowers)
    gradcheck(
        [&](const std::vector<Tensor>& x) { return pairwise_distance(x[0], x[1], {.p = p, .eps = 1e-3}); },
        {random_tensor({3, 4}, DType::F64, 1), random_tensor({3, 4}, DType::F64, 2)});
}

TEST(GradCheck, cdist) {
  for (const Distance distance : kDistances)
    gradcheck([&](const std::vector<Tensor>& x) { return cdist(x[0], x[1], {distance}); },
              {random_tensor({3, 4}, DType::F64, 1), random_tensor({5, 4}, DType::F64, 2)});
}

TEST(PairwiseDistance, FollowsItsFormula) {
  const Tensor a = random_tensor({9, 5}), b = random_tensor({9, 5}, DType::F32, 2);
  const std::vector<double> x = a.to_vector(), y = b.to_vector();
  for (const double p : kPowers)
    for (const double eps : {0.0, 1e-2}) {
      const std::vector<double> d = pairwise_distance(a, b, {.p = p, .eps = eps}).to_vector();
      for (size_t i = 0; i < 9; ++i) {
        double sum = 0, largest = 0;
        for (size_t k = 0; k < 5; ++k) {
          const double z = std::abs(x[i * 5 + k] - y[i * 5 + k] + eps);
          sum += std::pow(z, p);
          largest = std::max(largest, z);
        }
        EXPECT_NEAR(d[i], std::isinf(p) ? largest : std::pow(sum, 1 / p), 1e-6);
      }
    }
}

TEST(PairwiseDistance, CoincidentPointsHaveNoGradient) {
  Tensor a = random_tensor({2, 3}), b = a.clone();
  a.set_requires_grad(), b.set_requires_grad();
  for (const double p : kPowers) pairwise_distance(a, b, {.p = p}).backward(random_tensor({2}));
  for (const Tensor& x : {a, b})
    for (const double g : x.grad().to_vector()) EXPECT_EQ(g, 0);
}

TEST(Cdist, MatchesPlainLoopsOnEveryInstructionSet) {
  for (const auto& [n, m, d] : {std::tuple{1, 1, 1}, {7, 70, 3}, {33, 130, 600}, {20, 5, 64}}) {
    Tensor a = random_tensor({n, d}, DType::F32, 1), b = random_tensor({m, d}, DType::F32, 2);
    for (int k = 0; k < d; ++k) b.mutable_data<float>()[k] = a.data<float>()[k];  // a coincident pair
    for (int k = 0; k < d && m > 4; ++k) b.mutable_data<float>()[d + k] = 0;      // a zero row
    const std::vector<double> x = a.to_vector(), y = b.to_vector();
    for (const Distance distance : kDistances) {
      std::vector<double> expected;
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < m; ++j)
          expected.push_back(
              naive(x, static_cast<size_t>(i), y, static_cast<size_t>(j), static_cast<size_t>(d), distance));
      const Tensor wanted = Tensor::from_data(std::span<const double>(expected), {n, m});
      expect_close(cdist(a.to(DType::F64), b.to(DType::F64), {distance}), wanted, 1e-14);
      for_each_isa([&](cpu::Isa) {
        const Tensor found = cdist(a, b, {distance});
        expect_close(found, wanted, 1e-6);
        EXPECT_EQ(found.to_vector()[0], 0);
      });
    }
  }
}

TEST(Cdist, GradientsMatchF64) {
  const Tensor a = random_tensor({37, 21}, DType::F32, 1), b = random_tensor({90, 21}, DType::F32, 2);
  const Tensor dy = random_tensor({37, 90}, DType::F64, 3);
  for (const Distance distance : kDistances) {
    const auto gradients = [&](DType dtype) {
      Tensor x = a.to(dtype).clone(), y = b.to(dtype).clone();
      x.set_requires_grad(), y.set_requires_grad();
      cdist(x, y, {distance}).backward(dy.to(dtype));
      return std::pair{x.grad(), y.grad()};
    };
    const auto expected = gradients(DType::F64);
    for_each_isa([&](cpu::Isa) {
      const auto found = gradients(DType::F32);
      expect_close(found.first, expected.first, 2e-6);
      expect_close(found.second, expected.second, 2e-6);
      for_each_thread_count([&](int) { expect_equal_bits(gradients(DType::F32).second, found.second); });
    });
  }
}

TEST(Cdist, NearlyCoincidentRowsKeepTheirDigits) {
  Tensor a = random_tensor({4, 128});
  Tensor b = a.clone();
  for (int64_t i = 0; i < 4; ++i) b.mutable_data<float>()[i * 128 + 5] += 1e-3f;
  for_each_isa([&](cpu::Isa) {
    const std::vector<double> d = cdist(a, b).to_vector();
    const std::vector<double> exact = cdist(a.to(DType::F64), b.to(DType::F64)).to_vector();
    for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(d[i * 5] / exact[i * 5], 1, 1e-6);
  });
}

TEST(Cdist, EmptyHugeAndNotFinite) {
  EXPECT_EQ(cdist(Tensor::empty({0, 3}), random_tensor({2, 3})).shape(), Shape({0, 2}));
  Tensor a = random_tensor({2, 3}), none = Tensor::empty({0, 3});
  a.set_requires_grad();
  cdist(a, none).backward(Tensor::empty({2, 0}));
  for (const double g : a.grad().to_vector()) EXPECT_EQ(g, 0);
  const float x[] = {1e30f, 0}, y[] = {0, NAN};
  for_each_isa([&](cpu::Isa) {
    const Tensor d = cdist(Tensor::from_data(std::span<const float>(x), {2, 1}),
                           Tensor::from_data(std::span<const float>(y), {2, 1}));
    EXPECT_FALSE(std::isnan(d.to_vector()[0]));
    EXPECT_TRUE(std::isnan(d.to_vector()[1]));
  });
}

TEST(Distance, RefusesWhatDoesNotFit) {
  const Tensor a = random_tensor({4, 3});
  expect_error<ShapeError>([&] { cdist(a, random_tensor({4, 2})); }, {"cdist", "[4,3]", "[4,2]"});
  expect_error<ShapeError>([&] { pairwise_distance(a, random_tensor({5, 3})); }, {"[5,3]", "cdist"});
  expect_error<DTypeError>([&] { cdist(a, a.to(DType::F64)); }, {"f32", "f64"});
  expect_error<UsageError>([&] { pairwise_distance(a, a, {.p = 0.5}); }, {"0.5"});
  expect_error<UsageError>([&] { pairwise_distance(a, a, {.eps = -1}); }, {"eps"});
}

}  // namespace
}  // namespace tern::test
