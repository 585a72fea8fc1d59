#include <gtest/gtest.h>

#include <atomic>

#include "tern/metrics/all_pairs.h"
#include "tern/metrics/evaluate.h"
#include "tests/support/tensors.h"

namespace tern::metrics {
namespace {

TEST(KeptDistances, AreTheSameAndAskedForOnce) {
  const Tensor embeddings = test::random_tensor({23, 5}, DType::F32, 1);
  const DistanceRow direct = euclidean_distances(embeddings);
  std::atomic<int64_t> asked = 0;
  const DistanceRow kept = kept_distances(23, [&](int64_t row, int64_t begin, int64_t end, float* out) {
    asked += end - begin;
    direct(row, begin, end, out);
  });
  EXPECT_EQ(asked, 23 * 24 / 2);
  for (int64_t i = 0; i < 23; ++i) {
    std::vector<float> a(20), b(20);
    direct(i, 3, 23, a.data());
    kept(i, 3, 23, b.data());
    EXPECT_EQ(a, b) << i;
  }
  EXPECT_EQ(asked, 23 * 24 / 2);
}

TEST(KeptDistances, AnIncompleteEvaluationHasTheSameNumbers) {
  const Tensor embeddings = test::random_tensor({24, 5}, DType::F32, 2);
  std::vector<int64_t> identity;
  for (int64_t i = 0; i < 24; ++i) identity.push_back(i / 3);
  const Evaluation all = evaluate(embeddings, identity);
  const Evaluation some = evaluate(identity, euclidean_distances(embeddings), {.complete = false});
  EXPECT_EQ(all.auc, some.auc);
  EXPECT_EQ(all.eer, some.eer);
  EXPECT_EQ(all.rank1.rate, some.rank1.rate);
  EXPECT_EQ(all.verification.accuracy_mean, some.verification.accuracy_mean);
  EXPECT_GT(all.retrieval.queries, 0);
  EXPECT_EQ(some.retrieval.queries, 0);
}

}  // namespace
}  // namespace tern::metrics
