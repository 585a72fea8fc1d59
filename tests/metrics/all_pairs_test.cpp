#include "tern/metrics/all_pairs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tern/core/error.h"
#include "tern/core/parallel.h"
#include "tern/core/philox.h"
#include "tern/metrics/evaluate.h"
#include "tern/metrics/retrieval.h"

namespace tern::metrics {
namespace {

struct Set {
  Tensor embeddings;
  std::vector<int64_t> identity;
};

// `photos` photos each of `people` people: a random direction a person, noise a photo.
Set random_set(int people, int photos, int dim, double noise, uint64_t seed) {
  PhiloxSequence random(seed, RandomStream::Test, 0);
  std::vector<float> values;
  Set set;
  for (int p = 0; p < people; ++p) {
    std::vector<double> centre(static_cast<size_t>(dim));
    for (double& c : centre) c = random.normal();
    for (int i = 0; i < photos; ++i) {
      for (const double c : centre) values.push_back(static_cast<float>(c + noise * random.normal()));
      set.identity.push_back(p);
    }
  }
  set.embeddings = Tensor::from_data(std::span<const float>(values), Shape{people * photos, dim});
  return set;
}

double distance(const Tensor& e, int64_t a, int64_t b) {
  const int64_t dim = e.size(1);
  double sum = 0;
  for (int64_t i = 0; i < dim; ++i) {
    const double d = static_cast<double>(e.data<float>()[a * dim + i]) - e.data<float>()[b * dim + i];
    sum += d * d;
  }
  return std::sqrt(sum);
}

TEST(AllPairs, EqualsTheDoubleLoop) {
  const Set set = random_set(9, 4, 19, 0.7, 1);
  const auto scores = all_pair_scores(set.embeddings, set.identity);
  std::vector<double> same, different;
  for (int64_t a = 0; a < 36; ++a) {
    for (int64_t b = a + 1; b < 36; ++b)
      (a / 4 == b / 4 ? same : different).push_back(distance(set.embeddings, a, b));
  }
  std::sort(same.begin(), same.end());
  std::sort(different.begin(), different.end());
  ASSERT_EQ(scores.same.size(), same.size());
  ASSERT_EQ(scores.different.size(), different.size());
  for (size_t i = 0; i < same.size(); ++i) EXPECT_NEAR(scores.same[i], same[i], 1e-5);
  for (size_t i = 0; i < different.size(); ++i) EXPECT_NEAR(scores.different[i], different[i], 1e-5);
}

TEST(AllPairs, SameBitsForAnyNumberOfThreads) {
  const Set set = random_set(40, 5, 32, 0.7, 2);
  const int before = num_threads();
  set_num_threads(1);
  const auto one = all_pair_scores(set.embeddings, set.identity);
  set_num_threads(4);
  const auto four = all_pair_scores(set.embeddings, set.identity);
  set_num_threads(before);
  EXPECT_EQ(one.same, four.same);
  EXPECT_EQ(one.different, four.different);
}

TEST(AllPairs, RefusesWhatIsNotFiniteOrDoesNotFit) {
  Set set = random_set(3, 2, 4, 0.1, 3);
  EXPECT_THROW(all_pair_scores(set.embeddings, std::vector<int64_t>{1, 2}), ShapeError);
  set.embeddings.mutable_data<float>()[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(all_pair_scores(set.embeddings, set.identity), NumericError);
}

TEST(PeopleIntervals, EveryoneOnceIsTheMeasuredNumber) {
  const Set set = random_set(30, 4, 8, 0.8, 4);
  const auto row = euclidean_distances(set.embeddings);
  const auto scores = all_pair_scores(set.identity, row);
  const std::vector<double> fars{0.1, 0.01};
  const auto results = people_intervals(set.identity, row, scores, fars, {.rounds = 100, .seed = 1});
  for (size_t f = 0; f < fars.size(); ++f) {
    EXPECT_EQ(results[f].tar, tar_at_far(scores, fars[f]).tar);
    EXPECT_LE(results[f].tar_low, results[f].tar);
    EXPECT_GE(results[f].tar_high, results[f].tar);
    EXPECT_LT(results[f].tar_low, results[f].tar_high);
  }
}

TEST(Retrieval, EqualsBruteForce) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Set set = random_set(8, 4, 6, 0.9, seed);
    set.identity[31] = 99;  // a photo without another of its person
    const auto n = static_cast<int64_t>(set.identity.size());
    const auto same = [&](int64_t a, int64_t b) {
      return set.identity[static_cast<size_t>(a)] == set.identity[static_cast<size_t>(b)];
    };
    double recall1 = 0, recall3 = 0, map = 0, queries = 0, first = 0, probes = 0;
    for (int64_t q = 0; q < n; ++q) {
      std::vector<int64_t> others;
      int64_t relevant = 0;
      for (int64_t i = 0; i < n; ++i) {
        if (i != q) others.push_back(i), relevant += same(i, q);
      }
      if (!relevant) continue;
      const auto nearer = [&](int64_t a, int64_t b) {
        return distance(set.embeddings, q, a) < distance(set.embeddings, q, b);
      };
      std::sort(others.begin(), others.end(), nearer);
      ++queries;
      recall1 += same(others[0], q);
      recall3 += same(others[0], q) || same(others[1], q) || same(others[2], q);
      double hits = 0, ap = 0;
      for (int64_t r = 0; r < relevant; ++r) {
        if (same(others[static_cast<size_t>(r)], q)) ap += ++hits / static_cast<double>(r + 1);
      }
      map += ap / static_cast<double>(relevant);
      if (q % 4 == 0) continue;  // first photos are the gallery
      std::vector<int64_t> gallery{31};
      for (int64_t g = 0; g < n; g += 4) gallery.push_back(g);
      ++probes;
      first += same(*std::min_element(gallery.begin(), gallery.end(), nearer), q);
    }
    const auto row = euclidean_distances(set.embeddings);
    const std::vector<int> ks{1, 3};
    const Retrieval found = retrieval(set.identity, row, ks);
    EXPECT_EQ(found.queries, static_cast<int64_t>(queries));
    EXPECT_NEAR(found.recall_at[0], recall1 / queries, 1e-12);
    EXPECT_NEAR(found.recall_at[1], recall3 / queries, 1e-12);
    EXPECT_NEAR(found.map_at_r, map / queries, 1e-12);
    const Rank1 r = rank1(set.identity, row);
    EXPECT_EQ(r.people, 9);
    EXPECT_EQ(r.queries, static_cast<int64_t>(probes));
    EXPECT_NEAR(r.rate, first / probes, 1e-12);
  }
}

TEST(Retrieval, MapAtRByHand) {
  // Around photo 0 lie: own, other, own. R = 2, so only the first two count: (1/1) / 2.
  const std::vector<float> line{0, 1, 2, 3};
  const std::vector<int64_t> identity{0, 0, 1, 0};
  const Tensor e = Tensor::from_data(std::span<const float>(line), Shape{4, 1});
  const std::vector<int> ks{1};
  const Retrieval found = retrieval(identity, euclidean_distances(e), ks);
  EXPECT_EQ(found.queries, 3);
  // photo 1: neighbours 0 and 2 are equally far, the lower index first: own, other -> 1/2. photo 3: other,
  // own -> 1/4.
  EXPECT_NEAR(found.map_at_r, (0.5 + 0.5 + 0.25) / 3, 1e-12);
  EXPECT_NEAR(found.recall_at[0], 2.0 / 3, 1e-12);
}

TEST(Retrieval, NeedsAPersonWithTwoPhotos) {
  const Set set = random_set(4, 1, 3, 0.1, 1);
  const auto row = euclidean_distances(set.embeddings);
  EXPECT_THROW(retrieval(set.identity, row, std::vector<int>{1}), DataError);
  EXPECT_THROW(rank1(set.identity, row), DataError);
}

TEST(Evaluate, WellSeparatedPeopleAreAllRight) {
  const Set set = random_set(20, 5, 32, 0.05, 1);
  const Evaluation e = evaluate(set.embeddings, set.identity, {.bootstrap_rounds = 20});
  EXPECT_EQ(e.auc, 1);
  EXPECT_EQ(e.eer, 0);
  EXPECT_EQ(e.verification.accuracy_mean, 1);
  EXPECT_EQ(e.retrieval.map_at_r, 1);
  EXPECT_EQ(e.rank1.rate, 1);
  EXPECT_EQ(e.calibration.far, 0);
  EXPECT_EQ(e.calibration.tar, 1);
  EXPECT_EQ(e.people, 20);
  EXPECT_EQ(e.same, 20 * 10);
  EXPECT_EQ(e.different, 100 * 99 / 2 - 200);
  for (const TarAtFar& t : e.tar_at_far) EXPECT_EQ(t.tar_low, 1);
}

TEST(Evaluate, NoiseIsChance) {
  Set set = random_set(200, 1, 16, 0, 1);
  for (size_t i = 0; i < 200; ++i) set.identity[i] = static_cast<int64_t>(i / 4);
  const Evaluation e = evaluate(set.embeddings, set.identity);
  EXPECT_NEAR(e.auc, 0.5, 0.06);
  EXPECT_NEAR(e.eer, 0.5, 0.06);
}

}  // namespace
}  // namespace tern::metrics
