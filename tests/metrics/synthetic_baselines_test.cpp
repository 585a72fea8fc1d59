// The synthetic faces are only worth training on if nothing simple recognises them.
#include <gtest/gtest.h>

#include "tern/data/synthetic.h"
#include "tern/metrics/baselines.h"
#include "tern/metrics/verification.h"

namespace tern::metrics {
namespace {

double accuracy(const std::vector<int64_t>& identity, const DistanceRow& distance) {
  const SampledPairs sampled = sample_pairs(identity, {.seed = 1});
  PairScores scores;
  std::vector<int> folds;
  for (const SampledPair& pair : sampled.pairs) {
    float d = 0;
    distance(pair.a, pair.b, pair.b + 1, &d);
    scores.add(d, pair.same);
    folds.push_back(pair.fold);
  }
  return verify_over_folds(scores, folds).accuracy_mean;
}

TEST(LongSynthetic, PixelsAndHistogramsStayBelowThreeQuarters) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    SyntheticOptions options;
    options.seed = seed, options.identities = 200, options.first_identity = 100000;
    const SyntheticDataset people(options);
    std::vector<int64_t> identity;
    for (int64_t i = 0; i < people.size(); ++i) identity.push_back(people.identity(i));
    const PhotoSource load = [&](int64_t i) { return people.load(i); };
    const double pixels = accuracy(identity, raw_pixel_distances(people.size(), load));
    const double colours = accuracy(identity, histogram_distances(people.size(), load));
    EXPECT_LT(pixels, 0.74) << "seed " << seed;
    EXPECT_LT(colours, 0.74) << "seed " << seed;
    EXPECT_GT(pixels, 0.55) << "a drawing that says nothing at all would pass, too; seed " << seed;
    RecordProperty("pixels_seed_" + std::to_string(seed), std::to_string(pixels));
  }
}

}  // namespace
}  // namespace tern::metrics
