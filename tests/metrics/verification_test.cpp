#include "tern/metrics/verification.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "tern/core/error.h"
#include "tern/core/philox.h"
#include "tern/metrics/logistic.h"

namespace tern::metrics {
namespace {

std::vector<int64_t> people(std::initializer_list<int> photos) {
  std::vector<int64_t> identity;
  int64_t id = 0;
  for (const int n : photos) {
    identity.insert(identity.end(), static_cast<size_t>(n), id++);
  }
  return identity;
}

TEST(Verification, ThresholdComesFromTheOtherFolds) {
  // Fold 0 alone would choose 2.5 and be perfect; the others say 0.5, at which fold 0 is right in half.
  PairScores scores;
  std::vector<int> folds;
  const auto add = [&](double d, bool same, int fold) {
    scores.add(d, same);
    folds.push_back(fold);
  };
  add(2, true, 0), add(3, false, 0);
  for (int fold = 1; fold < 3; ++fold) {
    for (int i = 0; i < 3; ++i) add(0.25, true, fold), add(0.75, false, fold);
  }
  const Verification v = verify_over_folds(scores, folds);
  ASSERT_EQ(v.folds.size(), 3u);
  EXPECT_EQ(v.folds[0].threshold, 0.5);
  EXPECT_EQ(v.folds[0].accuracy, 0.5);
  EXPECT_EQ(v.folds[1].accuracy, 1);
  EXPECT_NEAR(v.accuracy_mean, 2.5 / 3, 1e-12);
  EXPECT_NEAR(v.accuracy_std, std::sqrt((1.0 / 9 + 2.0 / 36) / 2), 1e-12);
  EXPECT_NEAR(v.accuracy_low, v.accuracy_mean - 4.303 * v.accuracy_std / std::sqrt(3), 1e-9);
  EXPECT_EQ(v.accuracy_high, 1);
  EXPECT_EQ(v.threshold, 0.5);
}

TEST(Verification, ShuffledFlagsGiveChance) {
  PhiloxSequence random(1, RandomStream::Test, 0);
  PairScores scores;
  std::vector<int> folds;
  for (int i = 0; i < 6000; ++i) {
    scores.add(random.uniform(), i % 2 == 0);
    folds.push_back(i / 600);
  }
  EXPECT_NEAR(verify_over_folds(scores, folds).accuracy_mean, 0.5, 0.02);
}

TEST(Verification, NeedsTwoFolds) {
  PairScores scores;
  scores.add(1, true);
  EXPECT_THROW(verify_over_folds(scores, std::vector<int>{0}), DataError);
  EXPECT_THROW(verify_over_folds(scores, std::vector<int>{0, 1}), UsageError);
}

TEST(SamplePairs, PeopleAreDisjointPairsAreDistinctAndTrue) {
  std::vector<int64_t> identity;
  PhiloxSequence random(2, RandomStream::Test, 0);
  for (int64_t id = 0; id < 120; ++id) {
    identity.insert(identity.end(), 1 + random.below(id == 5 ? 200 : 12), id * 7 - 3);
  }
  const SampledPairs sampled = sample_pairs(identity, {.folds = 10, .pairs_per_kind = 100, .seed = 4});
  EXPECT_EQ(sampled.folds, 10);
  std::map<int64_t, int> fold_of;
  std::set<std::pair<int64_t, int64_t>> seen;
  std::map<std::pair<int, bool>, int> counts;
  for (const SampledPair& pair : sampled.pairs) {
    ASSERT_NE(pair.a, pair.b);
    const int64_t a = identity[static_cast<size_t>(pair.a)], b = identity[static_cast<size_t>(pair.b)];
    EXPECT_EQ(a == b, pair.same);
    for (const int64_t id : {a, b}) EXPECT_EQ(fold_of.emplace(id, pair.fold).first->second, pair.fold);
    EXPECT_TRUE(seen.insert(std::minmax(pair.a, pair.b)).second);
    ++counts[{pair.fold, pair.same}];
  }
  EXPECT_EQ(sampled.same, sampled.different);
  for (int fold = 0; fold < 10; ++fold) EXPECT_EQ((counts[{fold, true}]), (counts[{fold, false}]));
}

TEST(SamplePairs, IsAFunctionOfTheSeed) {
  const auto identity = people({5, 5, 5, 5, 5, 5, 5, 5});
  const auto draw = [&](uint64_t seed) {
    std::vector<int64_t> flat;
    for (const auto& pair : sample_pairs(identity, {.folds = 2, .pairs_per_kind = 8, .seed = seed}).pairs) {
      flat.push_back(pair.a * 100 + pair.b);
    }
    return flat;
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}

TEST(SamplePairs, TakesWhatThereIs) {
  // 20 people of 10 photos in 10 folds: two people a fold have 90 same pairs and 100 different ones.
  std::vector<int64_t> identity;
  for (int64_t i = 0; i < 200; ++i) identity.push_back(i / 10);
  const SampledPairs sampled = sample_pairs(identity);
  EXPECT_EQ(sampled.folds, 10);
  EXPECT_EQ(sampled.same, 900);
  EXPECT_EQ(sampled.different, 900);
  const auto few = people({2, 2, 1, 1, 1});
  EXPECT_EQ(sample_pairs(few).folds, 2);
  EXPECT_FALSE(can_sample_pairs(people({2, 2, 2})));
  EXPECT_THROW(sample_pairs(people({2, 2, 2})), DataError);
  EXPECT_THROW(sample_pairs(people({9, 1, 1, 1, 1})), DataError);
}

TEST(Logistic, RecoversAKnownCurve) {
  // Equal-deviation normals: the log odds are exactly linear, slope -(m1 - m0) / s^2, 0 halfway between the
  // means.
  PhiloxSequence random(9, RandomStream::Test, 0);
  PairScores pairs;
  for (int i = 0; i < 30000; ++i) pairs.add(0.6 + 0.2 * random.normal(), true);
  for (int i = 0; i < 60000; ++i) pairs.add(1.0 + 0.2 * random.normal(), false);
  const LogisticFit fit = fit_logistic(sort_scores(pairs));
  EXPECT_NEAR(fit.slope, -10, 0.3);
  EXPECT_NEAR(fit.probability_same(0.8), 0.5, 0.01);  // whatever the numbers of pairs
  EXPECT_NEAR(fit.probability_same(0.6), 1 / (1 + std::exp(-2)), 0.01);
}

TEST(Logistic, StaysFiniteWhereDataIsSeparableOrEmptyOfMeaning) {
  const LogisticFit apart = fit_logistic(SortedScores<double>{{0.1, 0.2}, {0.8, 0.9}});
  EXPECT_TRUE(std::isfinite(apart.slope));
  EXPECT_LT(apart.slope, 0);
  EXPECT_GT(apart.probability_same(0.1), 0.6);
  EXPECT_LT(apart.probability_same(0.9), 0.4);
  const LogisticFit alike = fit_logistic(SortedScores<double>{{0.5, 0.5}, {0.5}});
  EXPECT_EQ(alike.probability_same(0.5), 0.5);
  const LogisticFit backwards = fit_logistic(SortedScores<double>{{0.8, 0.9}, {0.1, 0.2}});
  EXPECT_EQ(backwards.slope, 0);
  EXPECT_EQ(fit_logistic(SortedScores<double>{{0, 1e300}, {0, 1e300}}).probability_same(5), 0.5);
  EXPECT_THROW(fit_logistic(SortedScores<double>{{1.0}, {}}), DataError);
}

}  // namespace
}  // namespace tern::metrics
