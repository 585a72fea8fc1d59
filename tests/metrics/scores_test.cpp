#include "tern/metrics/scores.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tern/core/error.h"
#include "tern/core/philox.h"

namespace tern::metrics {
namespace {

// Few distinct values, so that ties are common.
PairScores random_scores(int pairs, int values, uint64_t seed) {
  PhiloxSequence random(seed, RandomStream::Test, 0);
  PairScores scores;
  for (int i = 0; i < pairs; ++i) {
    const bool same = random.below(3) == 0;
    scores.add(random.below(static_cast<uint32_t>(values)) * 0.25 - (same ? 0.5 : 0), same);
  }
  return scores;
}

Decisions count(const PairScores& scores, double threshold) {
  Decisions d;
  for (size_t i = 0; i < scores.distances.size(); ++i) {
    const bool accepted = scores.distances[i] <= threshold;
    (scores.same[i] ? d.same : d.different) += 1;
    if (accepted) (scores.same[i] ? d.accepted_same : d.accepted_different) += 1;
  }
  return d;
}

TEST(Thresholds, AreMidpointsOneBelowAndTheLargest) {
  const auto t = candidate_thresholds({3, 1, 1, 2});
  ASSERT_EQ(t.size(), 4u);
  EXPECT_LT(t[0], 1);
  EXPECT_EQ(t[1], 1.5);
  EXPECT_EQ(t[2], 2.5);
  EXPECT_EQ(t[3], 3);
  EXPECT_TRUE(candidate_thresholds({}).empty());
}

TEST(Thresholds, SeparateNeighbouringNumbers) {
  const double a = 0.3, b = std::nextafter(a, 1.0);
  const double t = between(a, b);
  EXPECT_LE(a, t);
  EXPECT_LT(t, b);
}

TEST(Thresholds, BestEqualsBruteForceOverAllCandidates) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const PairScores scores = random_scores(static_cast<int>(2 + seed), static_cast<int>(2 + seed % 9), seed);
    const auto sorted = sort_scores(scores);
    if (sorted.same.empty() || sorted.different.empty()) continue;
    for (const bool balanced : {false, true}) {
      double best = -1, at = 0;
      for (const double t : candidate_thresholds(scores.distances)) {
        const Decisions d = count(scores, t);
        const double value = balanced ? d.balanced_accuracy() : d.accuracy();
        if (value > best + 1e-12) {
          best = value;
          at = t;
        }
      }
      const auto found = best_threshold(sorted, balanced ? Criterion::BalancedAccuracy : Criterion::Accuracy);
      EXPECT_EQ(found.threshold, at) << "seed " << seed << " balanced " << balanced;
      const Decisions expected = count(scores, at);
      EXPECT_EQ(found.decisions.accepted_same, expected.accepted_same);
      EXPECT_EQ(found.decisions.accepted_different, expected.accepted_different);
      const Decisions decided = decide(sorted, at);
      EXPECT_EQ(decided.accepted_same, expected.accepted_same);
      EXPECT_EQ(decided.accepted_different, expected.accepted_different);
    }
  }
}

TEST(Thresholds, ByHand) {
  PairScores scores;
  for (const double d : {0.1, 0.2, 0.6}) scores.add(d, true);
  for (const double d : {0.4, 0.7, 0.8, 0.9}) scores.add(d, false);
  const auto best = best_threshold(sort_scores(scores), Criterion::Accuracy);
  EXPECT_DOUBLE_EQ(best.threshold, 0.3);  // 6 of 7 right; 0.65 is as good, the lower one is taken
  EXPECT_DOUBLE_EQ(best.decisions.accuracy(), 6.0 / 7);
  const auto balanced = best_threshold(sort_scores(scores), Criterion::BalancedAccuracy);
  EXPECT_DOUBLE_EQ(balanced.threshold, 0.65);  // (1 + 3/4) / 2 against (2/3 + 1) / 2
}

TEST(Thresholds, RefuseWhatCannotBeJudged) {
  EXPECT_THROW(best_threshold(SortedScores<double>{}, Criterion::Accuracy), DataError);
  EXPECT_THROW(best_threshold(SortedScores<double>{{1.0}, {}}, Criterion::BalancedAccuracy), DataError);
  PairScores bad;
  bad.add(std::nan(""), true);
  EXPECT_THROW(sort_scores(bad), NumericError);
  const std::vector<double> two{1, 2};
  const std::vector<uint8_t> one{1};
  EXPECT_THROW(sort_scores(two, one), UsageError);
}

TEST(SortAscending, RadixEqualsComparison) {
  PhiloxSequence random(7, RandomStream::Test, 0);
  std::vector<float> values(40000);
  for (float& v : values) v = static_cast<float>(random.normal());
  values[5] = 0;
  values[6] = 1e-42f;
  auto expected = values;
  std::sort(expected.begin(), expected.end());
  sort_ascending(values);
  EXPECT_EQ(values, expected);
}

}  // namespace
}  // namespace tern::metrics
