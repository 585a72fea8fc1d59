#include "tern/ops/triplet_margin_loss.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tern/core/error.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tensors.h"

namespace tern::test {
namespace {

constexpr double kPowers[] = {1, 2, 3, 1.5, HUGE_VAL};

// The loss of one triplet, from the header's formulas with plain loops.
double naive(const std::vector<double>& a, const std::vector<double>& p, const std::vector<double>& n,
             const TripletMarginOptions& o) {
  const auto d = [&](const std::vector<double>& x, const std::vector<double>& y) {
    double sum = 0, largest = 0;
    for (size_t k = 0; k < x.size(); ++k) {
      const double z = std::abs(x[k] - y[k] + (o.eps == TripletEps::Torch ? 1e-6 : 0));
      sum += std::pow(z, o.p);
      largest = std::max(largest, z);
    }
    const double length = std::isinf(o.p) ? largest : std::pow(sum, 1 / o.p);
    return o.squared ? length * length : length;
  };
  const double gap = d(a, p) - (o.swap ? std::min(d(a, n), d(p, n)) : d(a, n));
  return o.soft_margin ? std::log1p(std::exp(gap)) : std::max(0.0, gap + o.margin);
}

template <class Body>
void for_each_form(Body&& body) {
  for (const double p : kPowers)
    for (const bool swap : {false, true})
      for (const bool squared : {false, true})
        for (const bool soft : {false, true})
          for (const TripletEps eps : {TripletEps::Exact, TripletEps::Torch}) {
            SCOPED_TRACE(concat_text("p ", p, swap ? " swap" : "", squared ? " squared" : "",
                                     soft ? " soft" : "", eps == TripletEps::Torch ? " torch" : ""));
            body(TripletMarginOptions{
                .p = p, .swap = swap, .squared = squared, .soft_margin = soft, .eps = eps});
          }
}

TEST(GradCheck, triplet_margin_loss) {
  const std::vector<Tensor> inputs = {random_tensor({4, 3}, DType::F64, 1),
                                      random_tensor({4, 3}, DType::F64, 2),
                                      random_tensor({4, 3}, DType::F64, 3)};
  for_each_form([&](TripletMarginOptions options) {
    for (const Reduction reduction :
         {Reduction::Mean, Reduction::MeanNonZero, Reduction::Sum, Reduction::None}) {
      options.reduction = reduction;
      gradcheck([&](const std::vector<Tensor>& x) { return triplet_margin_loss(x[0], x[1], x[2], options); },
                inputs);
    }
  });
}

TEST(TripletMarginLoss, FollowsItsFormulas) {
  const int64_t n = 23, d = 7;
  const Tensor a = random_tensor({n, d}, DType::F32, 1), p = random_tensor({n, d}, DType::F32, 2),
               q = random_tensor({n, d}, DType::F32, 3);
  const auto row = [&](const Tensor& x, int64_t i) {
    const std::vector<double> all = x.to_vector();
    return std::vector<double>(all.begin() + i * d, all.begin() + (i + 1) * d);
  };
  for_each_form([&](TripletMarginOptions options) {
    double sum = 0, above = 0;
    std::vector<double> losses;
    for (int64_t i = 0; i < n; ++i) {
      losses.push_back(naive(row(a, i), row(p, i), row(q, i), options));
      sum += losses.back();
      above += losses.back() > 0;
    }
    options.reduction = Reduction::None;
    expect_close(triplet_margin_loss(a, p, q, options),
                 Tensor::from_data(std::span<const double>(losses), {n}), 2e-7);
    const auto value = [&](Reduction reduction) {
      options.reduction = reduction;
      return triplet_margin_loss(a, p, q, options).item();
    };
    EXPECT_NEAR(value(Reduction::Sum) / sum, 1, 2e-7);
    EXPECT_NEAR(value(Reduction::Mean) / (sum / static_cast<double>(n)), 1, 2e-7);
    EXPECT_NEAR(value(Reduction::MeanNonZero) / (sum / above), 1, 2e-7);
  });
}

TEST(TripletMarginLoss, CoincidentPointsHaveNoGradientInExactMode) {
  Tensor a = random_tensor({2, 6}), p = a.clone(), n = a.clone();
  a.set_requires_grad(), p.set_requires_grad(), n.set_requires_grad();
  for (const double power : kPowers) {
    const Tensor loss = triplet_margin_loss(a, p, n, {.p = power, .swap = true});
    EXPECT_EQ(loss.item(), 1);
    loss.backward();
  }
  for (const Tensor& x : {a, p, n})
    for (const double g : x.grad().to_vector()) EXPECT_EQ(g, 0);
}

TEST(TripletMarginLoss, HasTheSameBitsForAnyNumberOfThreads) {
  const Tensor a = random_tensor({700, 33}), p = random_tensor({700, 33}, DType::F32, 2),
               n = random_tensor({700, 33}, DType::F32, 3);
  const Tensor expected = triplet_margin_loss(a, p, n);
  for_each_thread_count([&](int) { expect_equal_bits(triplet_margin_loss(a, p, n), expected); });
}

TEST(TripletMarginLoss, EmptySoftAndNotFinite) {
  EXPECT_EQ(triplet_margin_loss(Tensor::empty({0, 3}), Tensor::empty({0, 3}), Tensor::empty({0, 3})).item(),
            0);
  const float far[] = {100}, zero[] = {0}, nan[] = {NAN};
  const auto one = [](const float* x) { return Tensor::from_data(std::span<const float>(x, 1), {1, 1}); };
  EXPECT_EQ(triplet_margin_loss(one(zero), one(far), one(zero), {.soft_margin = true}).item(), 100);
  EXPECT_EQ(triplet_margin_loss(one(zero), one(zero), one(far), {.soft_margin = true}).item(),
            std::exp(-100.0f));
  EXPECT_NEAR(triplet_margin_loss(one(zero), one(zero), one(zero), {.soft_margin = true}).item(),
              std::log(2.0), 1e-7);
  for (const bool soft : {false, true})
    EXPECT_TRUE(std::isnan(triplet_margin_loss(one(zero), one(nan), one(far), {.soft_margin = soft}).item()));
}

TEST(TripletMarginLoss, RefusesWhatDoesNotFit) {
  const Tensor a = random_tensor({4, 3});
  expect_error<ShapeError>([&] { triplet_margin_loss(a, a, random_tensor({4, 2})); }, {"[4,3]", "[4,2]"});
  expect_error<ShapeError>(
      [&] { triplet_margin_loss(random_tensor({4}), random_tensor({4}), random_tensor({4})); }, {"[N,D]"});
  expect_error<DTypeError>([&] { triplet_margin_loss(a, a, a.to(DType::F64)); }, {"f32", "f64"});
  expect_error<UsageError>([&] { triplet_margin_loss(a, a, a, {.margin = -1}); }, {"margin", "-1"});
  expect_error<UsageError>([&] { triplet_margin_loss(a, a, a, {.p = 0.5}); }, {"p ", "0.5"});
}

}  // namespace
}  // namespace tern::test
