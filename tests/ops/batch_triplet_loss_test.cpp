// Value, gradient and statistics of the batch triplet loss against brute force and finite differences.
#include "tern/ops/batch_triplet_loss.h"

#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <string>
#include <vector>

#include "tern/core/error.h"
#include "tests/ops/triplet_oracle.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tensors.h"

namespace tern::test {
namespace {

constexpr Mining kRules[] = {Mining::BatchAll,          Mining::BatchHard,      Mining::SemiHard,
                             Mining::SemiHardOrHardest, Mining::RandomViolator, Mining::EasyPositive,
                             Mining::DistanceWeighted};
constexpr Distance kDistances[] = {Distance::Euclidean, Distance::SquaredEuclidean, Distance::Cosine};
constexpr Reduction kReductions[] = {Reduction::Mean, Reduction::MeanNonZero, Reduction::Sum,
                                     Reduction::None};

Tensor labels_of(std::initializer_list<int64_t> values) {
  const std::vector<int64_t> y(values);
  return Tensor::from_data(std::span<const int64_t>(y), {static_cast<int64_t>(y.size())});
}

Tensor gradient(const Tensor& e, const Tensor& labels, const BatchTripletOptions& options,
                const Tensor& dy = {}) {
  Tensor x = e.clone();
  x.set_requires_grad();
  const Tensor loss = batch_triplet_loss(x, labels, options).loss;
  if (dy.defined()) loss.backward(dy);
  else loss.backward();
  return x.grad();
}

template <class Body>
void for_each_form_of(Mining mining, Body&& body) {
  for (const Distance distance : kDistances)
    for (const bool soft : {false, true})
      for (const bool normalize : {true, false}) {
        if (mining == Mining::DistanceWeighted && !normalize) continue;
        SCOPED_TRACE(concat_text(mining, " ", distance, soft ? " soft" : "", normalize ? " normalized" : ""));
        body(BatchTripletOptions{.mining = mining,
                                 .margin = 0.4,
                                 .distance = distance,
                                 .normalize = normalize,
                                 .soft_margin = soft});
      }
}

template <class Body>
void for_each_form(Body&& body) {
  for (const Mining mining : kRules) for_each_form_of(mining, body);
}

// One case per rule.
class BatchTripletRule : public testing::TestWithParam<Mining> {
 protected:
  template <class Body>
  void for_each_form(Body&& body) {
    for_each_form_of(GetParam(), body);
  }
};
INSTANTIATE_TEST_SUITE_P(Rules, BatchTripletRule, testing::ValuesIn(kRules), [](const auto& test) {
  std::string name;
  for (const char c : to_string(test.param))
    if (std::isalnum(static_cast<unsigned char>(c))) name += c;
  return name;
});

TEST(GradCheck, batch_triplet_loss) {
  const Tensor labels = labels_of({3, 1, 1, 3, 2, 1, 3, 9});
  const Tensor e = random_tensor({8, 3}, DType::F64, 11);
  for_each_form([&](BatchTripletOptions options) {
    for (const Reduction reduction : kReductions) {
      options.reduction = reduction;
      gradcheck([&](const std::vector<Tensor>& x) { return batch_triplet_loss(x[0], labels, options).loss; },
                {e});
    }
  });
}

TEST_P(BatchTripletRule, IsTheSumOfItsTermsByBruteForce) {
  const Tensor labels = random_ints({37}, DType::I64, 2, 0, 7);
  const Tensor e = random_tensor({37, 11}, DType::F32, 3), wide = e.to(DType::F64);
  for_each_form([&](BatchTripletOptions options) {
    const TripletOracle oracle(e, labels, options), exact(wide, labels, options);
    const std::vector<double> sums = oracle.anchor_sums();
    for (const Reduction reduction : {Reduction::Mean, Reduction::MeanNonZero, Reduction::Sum}) {
      options.reduction = reduction;
      EXPECT_NEAR(batch_triplet_loss(wide, labels, options).loss.item() / exact.loss(reduction), 1, 1e-12);
      for_each_isa([&](cpu::Isa) {
        EXPECT_NEAR(batch_triplet_loss(e, labels, options).loss.item() / oracle.loss(reduction), 1, 2e-6);
      });
    }
    options.reduction = Reduction::None;
    const Tensor per_anchor = Tensor::from_data(std::span<const double>(sums), {37});
    for_each_isa(
        [&](cpu::Isa) { expect_close(batch_triplet_loss(e, labels, options).loss, per_anchor, 2e-6); });
  });
}

// The gradient in f32, on each instruction set, against the f64 reference whose own was checked by finite
// differences. The embeddings are exact in f32 before and after, so both mine the same triplets.
TEST_P(BatchTripletRule, GradientInF32MatchesF64) {
  for (const int64_t n : {5, 70, 131}) {
    const Tensor labels = random_ints({n}, DType::I64, 7, 0, static_cast<int>(n / 4));
    const Tensor e = random_tensor({n, 19}, DType::F32, 5), wide = e.to(DType::F64);
    for_each_form([&](BatchTripletOptions options) {
      options.reduction = Reduction::None;
      const Tensor dy = random_tensor({n}, DType::F64, 9);
      const Tensor expected = gradient(wide, labels, options, dy);
      for_each_isa(
          [&](cpu::Isa) { expect_close(gradient(e, labels, options, dy.to(DType::F32)), expected, 4e-6); });
    });
  }
}

TEST_P(BatchTripletRule, HasTheSameBitsForAnyNumberOfThreads) {
  const Tensor labels = random_ints({203}, DType::I64, 7, 0, 20);
  const Tensor e = random_tensor({203, 33}, DType::F32, 5);
  const BatchTripletOptions options{.mining = GetParam()};
  std::vector<Tensor> losses, slopes;  // by instruction set
  for_each_isa([&](cpu::Isa) {
    losses.push_back(batch_triplet_loss(e, labels, options).loss);
    slopes.push_back(gradient(e, labels, options));
  });
  for_each_thread_count([&](int) {
    size_t at = 0;
    for_each_isa([&](cpu::Isa) {
      expect_equal_bits(batch_triplet_loss(e, labels, options).loss, losses[at]);
      expect_equal_bits(gradient(e, labels, options), slopes[at]);
      ++at;
    });
  });
}

TEST_P(BatchTripletRule, CountsWhatItSaw) {
  const Tensor labels = random_ints({41}, DType::I64, 2, 0, 6);
  const Tensor e = random_tensor({41, 6}, DType::F32, 4);
  for_each_form([&](BatchTripletOptions options) {
    const TripletOracle oracle(e, labels, options);
    int64_t valid = 0, active = 0, hard = 0, semi_hard = 0;
    for (int64_t a = 0; a < 41; ++a)
      for (int64_t p = 0; p < 41; ++p)
        for (int64_t n = 0; n < 41; ++n) valid += oracle.valid(a, p, n);
    double sum_ap = 0;
    for (const Triple& t : oracle.terms()) {
      const double d_ap = oracle.distance(t.a, t.p), d_an = oracle.distance(t.a, t.n);
      active += oracle.term_loss(t) > 0;
      hard += d_an <= d_ap;
      semi_hard += d_an > d_ap && d_an < d_ap + options.margin;
      sum_ap += d_ap;
    }
    for_each_isa([&](cpu::Isa) {
      const TripletStats s = batch_triplet_loss(e, labels, options).stats();
      EXPECT_EQ(s.valid, valid);
      EXPECT_EQ(s.terms, static_cast<int64_t>(oracle.terms().size()));
      EXPECT_EQ(s.active, active);
      EXPECT_EQ(s.hard, hard);
      EXPECT_EQ(s.semi_hard, semi_hard);
      EXPECT_LE(s.d_ap.p10, s.d_ap.median);
      EXPECT_LE(s.d_an.median, s.d_an.p90);
      if (options.mining != Mining::BatchAll) {
        EXPECT_NEAR(s.d_ap.mean, sum_ap / static_cast<double>(s.terms), 1e-6 * s.d_ap.mean);
      }
    });
  });
}

TEST(BatchTripletLoss, StatisticsOfAKnownBatch) {
  // Two classes on a line: 0, 1 and 3, 7. All pairs: positives 1, 1, 4, 4; negatives 3, 7, 2, 6 twice.
  const float x[] = {0, 3, 1, 7};
  const Tensor e = Tensor::from_data(std::span<const float>(x), {4, 1});
  const Tensor labels = labels_of({0, 1, 0, 1});
  for_each_isa([&](cpu::Isa) {
    const auto result =
        batch_triplet_loss(e, labels, {.margin = 1, .normalize = false, .reduction = Reduction::Sum});
    // Anchor 0 (d_ap 1): 3, 7. Anchor 1 (1): 2, 6. Anchor 3 (4): 3, 2. Anchor 7 (4): 7, 6. Terms d_ap - d_an
    // + 1 > 0:
    EXPECT_EQ(result.loss.item(), (4 - 3 + 1) + (4 - 2 + 1));
    EXPECT_EQ(result.stats().valid, 8);
    EXPECT_EQ(result.stats().terms, 8);
    EXPECT_EQ(result.stats().active, 2);
    EXPECT_EQ(result.stats().hard, 2);
    EXPECT_EQ(result.stats().semi_hard, 0);
    EXPECT_EQ(result.stats().d_ap.mean, 2.5);
    EXPECT_EQ(result.stats().d_an.mean, 4.5);
    EXPECT_EQ(result.stats().d_an.p10, 2);
    EXPECT_EQ(result.stats().d_an.p90, 7);
    EXPECT_NEAR(result.stats().spread, std::sqrt((2.75 * 2.75 + 0.25 * 0.25 + 1.75 * 1.75 + 4.25 * 4.25) / 4),
                1e-12);
    EXPECT_NEAR(result.stats().pairwise_rms, std::sqrt((1 + 9 + 49 + 4 + 36 + 16) / 6.0), 1e-12);
  });
}

// A negative exactly as far as the positive is hard: 0 and 2 are one class, -2 and 4 the other.
TEST(BatchTripletLoss, ANegativeAsFarAsThePositiveIsHard) {
  const float x[] = {0, 2, -2, 4};
  const Tensor e = Tensor::from_data(std::span<const float>(x), {4, 1});
  const Tensor labels = labels_of({0, 0, 1, 1});
  for_each_isa([&](cpu::Isa) {
    const auto stats = batch_triplet_loss(e, labels, {.margin = 1, .normalize = false}).stats();
    // Anchors 0 and 2 (d_ap 2): 2, 4 and 4, 2. Anchors -2 and 4 (d_ap 6): 2, 4 and 4, 2.
    EXPECT_EQ(stats.active, 6);
    EXPECT_EQ(stats.hard, 6);
    EXPECT_EQ(stats.semi_hard, 0);
  });
}

TEST(BatchTripletLoss, WithoutTermsIsZeroWithZeroGradient) {
  const Tensor one_class = labels_of({5, 5, 5}), singletons = labels_of({1, 2, 3});
  const Tensor e = random_tensor({3, 4}, DType::F32, 1);
  for_each_form([&](const BatchTripletOptions& options) {
    for (const Tensor& labels : {one_class, singletons})
      for_each_isa([&](cpu::Isa) {
        const auto result = batch_triplet_loss(e, labels, options);
        EXPECT_EQ(result.loss.item(), 0);
        EXPECT_EQ(result.stats().terms, 0);
        EXPECT_EQ(result.stats().valid, 0);
        for (const double g : gradient(e, labels, options).to_vector()) EXPECT_EQ(g, 0);
      });
    for (const int64_t n : {0, 1}) {
      const Tensor none = Tensor::from_data(std::span<const int64_t>(), {0});
      const auto result = batch_triplet_loss(random_tensor({n, 4}), n == 0 ? none : labels_of({1}), options);
      EXPECT_EQ(result.loss.item(), 0);
    }
  });
}

TEST_P(BatchTripletRule, CollapsedEmbeddingsGiveTheMarginAndNoGradient) {
  std::vector<float> x(40 * 8, 0.37f);
  const Tensor e = Tensor::from_data(std::span<const float>(x), {40, 8});
  const Tensor labels = random_ints({40}, DType::I64, 1, 0, 7);
  for_each_form([&](const BatchTripletOptions& options) {
    if (options.mining == Mining::SemiHard || options.mining == Mining::EasyPositive)
      return;  // nothing is farther
    for_each_isa([&](cpu::Isa) {
      const auto result = batch_triplet_loss(e, labels, options);
      EXPECT_NEAR(result.loss.item(), options.soft_margin ? std::log(2.0) : options.margin, 1e-6);
      EXPECT_NEAR(result.stats().pairwise_rms, 0, 1e-7);
      for (const double g : gradient(e, labels, options).to_vector()) EXPECT_NEAR(g, 0, 1e-6);
    });
  });
}

TEST_P(BatchTripletRule, IsNeverNaNFromFiniteInput) {
  const Tensor labels = random_ints({30}, DType::I64, 1, 0, 5);
  for (const float size : {0.0f, 1e-42f, 1e-30f, 1e18f, 1e30f}) {
    std::vector<float> x;
    for (const double v : random_tensor({30, 5}).to_vector()) x.push_back(size * static_cast<float>(v));
    for (int64_t k = 0; k < 5; ++k) x[static_cast<size_t>(k)] = x[static_cast<size_t>(5 + k)] = 0;
    const Tensor e = Tensor::from_data(std::span<const float>(x), {30, 5});
    for_each_form([&](const BatchTripletOptions& options) {
      SCOPED_TRACE(size);
      for_each_isa([&](cpu::Isa) {
        EXPECT_FALSE(std::isnan(batch_triplet_loss(e, labels, options).loss.item()));
        for (const double g : gradient(e, labels, options).to_vector()) EXPECT_FALSE(std::isnan(g));
      });
    });
  }
}

TEST(BatchTripletLoss, NaNEmbeddingsGiveNaN) {
  Tensor e = random_tensor({12, 5});
  e.mutable_data<float>()[7] = std::nanf("");
  const Tensor labels = random_ints({12}, DType::I64, 1, 0, 3);
  for_each_form([&](const BatchTripletOptions& options) {
    EXPECT_TRUE(std::isnan(batch_triplet_loss(e, labels, options).loss.item()));
    EXPECT_TRUE(std::isnan(gradient(e, labels, options).to_vector()[0]));
  });
}

TEST(BatchTripletLoss, NearlyCoincidentPairsKeepTheirDigits) {
  // Positives a few ulp apart on the unit sphere: the Gram form would be off by 1e-4 and more.
  Tensor e = random_tensor({24, 64}, DType::F32, 3);
  float* x = e.mutable_data<float>();
  for (int64_t i = 0; i < 24; i += 2)
    for (int64_t k = 0; k < 64; ++k) x[(i + 1) * 64 + k] = x[i * 64 + k] * (k == i ? 1.0001f : 1.0f);
  std::vector<int64_t> y;
  for (int64_t i = 0; i < 24; ++i) y.push_back(i / 2);
  const Tensor labels = Tensor::from_data(std::span<const int64_t>(y), {24});
  for (const Mining mining : {Mining::BatchAll, Mining::BatchHard}) {
    const BatchTripletOptions options{.mining = mining, .margin = 2};
    const TripletOracle oracle(e, labels, options);
    double mean = 0;
    for (const Triple& t : oracle.terms())
      mean += oracle.distance(t.a, t.p) / static_cast<double>(oracle.terms().size());
    for_each_isa([&](cpu::Isa) {
      EXPECT_NEAR(batch_triplet_loss(e, labels, options).stats().d_ap.mean / mean, 1, 1e-6);
    });
  }
}

TEST(BatchTripletLoss, RefusesWhatDoesNotFit) {
  const Tensor e = random_tensor({4, 3}), labels = labels_of({1, 1, 2, 2});
  expect_error<ShapeError>([&] { batch_triplet_loss(random_tensor({4}), labels); }, {"[N,D]", "[4]"});
  expect_error<ShapeError>([&] { batch_triplet_loss(e, labels_of({1, 2})); }, {"[4]", "[2]"});
  expect_error<DTypeError>([&] { batch_triplet_loss(e, random_tensor({4})); }, {"i64", "f32"});
  expect_error<DTypeError>([&] { batch_triplet_loss(e.to(DType::BF16), labels); }, {"bf16", "f32"});
  expect_error<UsageError>([&] { batch_triplet_loss(e, labels, {.margin = -0.1}); }, {"margin", "-0.1"});
  expect_error<UsageError>([&] { batch_triplet_loss(e, labels, {.margin = NAN}); }, {"margin"});
  expect_error<UsageError>(
      [&] { batch_triplet_loss(e, labels, {.mining = Mining::DistanceWeighted, .normalize = false}); },
      {"normalize"});
}

}  // namespace
}  // namespace tern::test
