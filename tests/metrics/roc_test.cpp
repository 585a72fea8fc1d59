#include "tern/metrics/roc.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tern/core/error.h"
#include "tern/core/philox.h"

namespace tern::metrics {
namespace {

SortedScores<double> random_scores(int same, int different, int values, uint64_t seed) {
  PhiloxSequence random(seed, RandomStream::Test, 0);
  PairScores scores;
  const auto draw = [&] { return values ? random.below(static_cast<uint32_t>(values)) : random.normal(); };
  for (int i = 0; i < same; ++i) scores.add(draw() - 1, true);
  for (int i = 0; i < different; ++i) scores.add(draw(), false);
  return sort_scores(scores);
}

double mann_whitney(const SortedScores<double>& scores) {
  double sum = 0;
  for (const double s : scores.same) {
    for (const double d : scores.different) sum += s < d ? 1 : s == d ? 0.5 : 0;
  }
  return sum / static_cast<double>(scores.same.size() * scores.different.size());
}

TEST(Roc, AucIsMannWhitneyAndTheAreaUnderTheCurve) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const auto scores = random_scores(1 + static_cast<int>(seed), 40, seed % 3 ? 6 : 0, seed);
    const double expected = mann_whitney(scores);
    EXPECT_NEAR(area_under_roc(scores), expected, 1e-12);
    const auto curve = roc_curve(scores);
    double area = 0;
    for (size_t i = 1; i < curve.size(); ++i) {
      area += (curve[i].far - curve[i - 1].far) * (curve[i].tar + curve[i - 1].tar) / 2;
    }
    EXPECT_NEAR(area, expected, 1e-12);
  }
}

TEST(Roc, EveryPointIsWhatItsThresholdMeasures) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const auto scores = random_scores(12, 20, seed % 2 ? 5 : 0, seed);
    const auto curve = roc_curve(scores);
    EXPECT_EQ(curve.front().tar, 0);
    EXPECT_EQ(curve.front().far, 0);
    EXPECT_EQ(curve.back().tar, 1);
    EXPECT_EQ(curve.back().far, 1);
    for (const RocPoint& point : curve) {
      const Decisions d = decide(scores, point.threshold);
      EXPECT_EQ(d.tar(), point.tar);
      EXPECT_EQ(d.far(), point.far);
    }
    for (const double t :
         candidate_thresholds(scores.same)) {  // no step is missing: each lies on the polyline
      const Decisions d = decide(scores, t);
      bool on_curve = false;
      for (size_t i = 1; i < curve.size(); ++i) {
        const auto &a = curve[i - 1], &b = curve[i];
        if (d.far() < a.far || d.far() > b.far || d.tar() < a.tar || d.tar() > b.tar) continue;
        on_curve |=
            std::fabs((b.far - a.far) * (d.tar() - a.tar) - (b.tar - a.tar) * (d.far() - a.far)) < 1e-12;
      }
      EXPECT_TRUE(on_curve);
    }
  }
}

TEST(Roc, EqualErrorByHand) {
  // Accepting up to 0.3: FAR 1/4, FRR 1/4.
  const SortedScores<double> crossing{{0.1, 0.2, 0.3, 0.9}, {0.25, 0.6, 0.7, 0.8}};
  EXPECT_DOUBLE_EQ(equal_error_rate(crossing).rate, 0.25);
  EXPECT_DOUBLE_EQ(equal_error_rate(SortedScores<double>{{0.1, 0.2}, {0.3, 0.4}}).rate, 0);
  EXPECT_DOUBLE_EQ(equal_error_rate(SortedScores<double>{{0.3, 0.4}, {0.1, 0.2}}).rate, 1);
  EXPECT_DOUBLE_EQ(equal_error_rate(SortedScores<double>{{1, 1}, {1, 1, 1}}).rate,
                   0.5);  // nothing can be told
  // Three same, two different: FAR jumps 0 -> 1/2 at TAR 2/3, so the crossing lies on that step at FRR 1/3.
  EXPECT_NEAR(equal_error_rate(SortedScores<double>{{0.1, 0.2, 0.9}, {0.3, 1.0}}).rate, 1.0 / 3, 1e-12);
}

TEST(Roc, EqualErrorOfTwoNormals) {
  // Deviation 1, means 2 apart: EER = Phi(-1) = 0.1587, AUC = Phi(2 / sqrt 2) = 0.9214.
  PhiloxSequence random(3, RandomStream::Test, 0);
  PairScores pairs;
  for (int i = 0; i < 20000; ++i) {
    pairs.add(random.normal(), true);
    pairs.add(random.normal() + 2, false);
  }
  const auto scores = sort_scores(pairs);
  EXPECT_NEAR(equal_error_rate(scores).rate, 0.1587, 0.006);
  EXPECT_NEAR(equal_error_rate(scores).threshold, 1, 0.05);
  EXPECT_NEAR(area_under_roc(scores), 0.9214, 0.004);
}

TEST(TarAtFar, IsTheBestThresholdThatKeepsTheFar) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const auto scores = random_scores(25, 50, seed % 2 ? 7 : 0, seed);
    std::vector<double> all = scores.same;
    all.insert(all.end(), scores.different.begin(), scores.different.end());
    for (const double far : {0.0, 0.02, 0.1, 0.5, 1.0}) {
      double best = 0;
      for (const double t : candidate_thresholds(all)) {
        const Decisions d = decide(scores, t);
        if (d.far() <= far + 1e-12) best = d.tar();
      }
      const TarAtFar found = tar_at_far(scores, far);
      EXPECT_EQ(found.tar, best) << seed << " " << far;
      EXPECT_LE(found.far, far + 1e-12);
      EXPECT_EQ(decide(scores, found.threshold).tar(), found.tar);
    }
  }
}

TEST(TarAtFar, BootstrapIntervalCoversAndIsReproducible) {
  const auto scores = random_scores(200, 400, 0, 5);
  const TarAtFar a = tar_at_far(scores, 0.1, 200, 1), b = tar_at_far(scores, 0.1, 200, 1);
  EXPECT_EQ(a.tar_low, b.tar_low);
  EXPECT_EQ(a.tar_high, b.tar_high);
  EXPECT_LT(a.tar_low, a.tar);
  EXPECT_GT(a.tar_high, a.tar);
  // The deviation of a share of 200 is at most 0.035; the threshold adds its own.
  EXPECT_LT(a.tar_high - a.tar_low, 0.35);
  EXPECT_GT(a.tar_high - a.tar_low, 0.05);
  EXPECT_NE(tar_at_far(scores, 0.1, 200, 2).tar_low, a.tar_low);
}

TEST(TarAtFar, RefusesNonsense) {
  const auto scores = random_scores(5, 5, 0, 5);
  EXPECT_THROW(tar_at_far(scores, -0.1), UsageError);
  EXPECT_THROW(tar_at_far(scores, std::nan("")), UsageError);
  EXPECT_THROW(tar_at_far(SortedScores<double>{{1.0}, {}}, 0.1), DataError);
}

TEST(Quantile, Interpolates) {
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 1), 4);
  EXPECT_DOUBLE_EQ(quantile({7}, 0.3), 7);
}

}  // namespace
}  // namespace tern::metrics
