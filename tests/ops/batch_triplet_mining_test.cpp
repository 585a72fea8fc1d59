// What the mining rules choose, against brute force, on batches made to provoke ties and rounding.
#include <gtest/gtest.h>

#include "tern/core/parallel.h"
#include "tests/ops/triplet_batches.h"
#include "tests/ops/triplet_oracle.h"
#include "tests/support/tensors.h"

namespace tern::test {
namespace {

class MiningRule : public testing::TestWithParam<Mining> {};

TEST_P(MiningRule, ChoosesWhatBruteForceChooses) {
  int64_t terms = 0;
  for (int kind = 0; kind < static_cast<int>(BatchKind::Count); ++kind)
    for (uint64_t seed = 0; seed < 30; ++seed) {
      const LabelledBatch batch = make_batch(static_cast<BatchKind>(kind), seed);
      const BatchTripletOptions options = mining_options(GetParam(), seed);
      const TripletOracle oracle(batch.e, batch.labels, options);
      terms += static_cast<int64_t>(oracle.terms().size());
      const Tensor wide = batch.e.to(DType::F64);
      for_each_isa([&](cpu::Isa isa) {
        EXPECT_EQ(triples(mine_triplets(batch.e, batch.labels, options)), oracle.terms())
            << to_string(isa) << " kind " << kind << " seed " << seed << " " << to_string(batch.e.shape());
      });
      if (!options.normalize && options.distance != Distance::Cosine) {
        EXPECT_EQ(triples(mine_triplets(wide, batch.labels, options)), oracle.terms()) << kind << " " << seed;
      }
    }
  EXPECT_GT(terms, 300);
}

TEST_P(MiningRule, IsTheSameOnEveryInstructionSetAndThreadCount) {
  const Tensor e = random_tensor({210, 24}, DType::F32, 5);
  const Tensor labels = random_ints({210}, DType::I64, 6, 0, 30);
  const BatchTripletOptions options{.mining = GetParam(), .margin = 0.3, .seed = 4};
  const auto before = cpu::active_isa();
  cpu::set_isa(cpu::Isa::Reference);
  const auto expected = triples(mine_triplets(e, labels, options));
  cpu::set_isa(before);
  EXPECT_GT(expected.size(), 100u);
  for_each_isa([&](cpu::Isa) {
    for_each_thread_count([&](int) { EXPECT_EQ(triples(mine_triplets(e, labels, options)), expected); });
  });
}

INSTANTIATE_TEST_SUITE_P(All, MiningRule, testing::ValuesIn(kMined),
                         [](const auto& info) { return std::string(to_string(info.param)); });

// The hard case of "Gram proposes": many points whose distances to the anchor differ by less than the Gram
// matrix can tell, far from the origin.
TEST(Mining, DecidesBelowTheRoundingOfTheGramMatrix) {
  const int64_t n = 90, d = 8;
  std::vector<float> x;
  std::vector<int64_t> y;
  PhiloxSequence draw(3, RandomStream::Test, 0);
  for (int64_t i = 0; i < n; ++i) {
    y.push_back(i % 10);
    for (int64_t k = 0; k < d; ++k) x.push_back(100.0f + 1e-4f * static_cast<float>(draw.below(100)));
  }
  const Tensor e = Tensor::from_data(std::span<const float>(x), {n, d});
  const Tensor labels = Tensor::from_data(std::span<const int64_t>(y), {n});
  for (const Mining mining : {Mining::BatchHard, Mining::SemiHard, Mining::EasyPositive}) {
    const BatchTripletOptions options{.mining = mining, .margin = 1e-4, .normalize = false};
    const TripletOracle oracle(e, labels, options);
    for_each_isa([&](cpu::Isa) { EXPECT_EQ(triples(mine_triplets(e, labels, options)), oracle.terms()); });
  }
}

// Pairs of negatives that the Gram matrix cannot tell apart, each pair beyond a positive of its own. So many
// others lie farther away that the buckets of the search are as narrow as the Gram matrix errs: the two of a
// pair often fall into different ones.
TEST(Mining, DecidesBetweenNeighbouringBuckets) {
  const int64_t pairs = 6, far = 120, d = 4;
  const double step = 4e-5;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    std::vector<float> x;
    std::vector<int64_t> y;
    PhiloxSequence draw(seed, RandomStream::Test, 0);
    const auto add_at = [&](double squared, int64_t label) {
      double direction[4], length = 0;
      for (double& z : direction) z = draw.normal(), length += z * z;
      for (const double z : direction) x.push_back(static_cast<float>(1 + std::sqrt(squared / length) * z));
      y.push_back(label);
    };
    add_at(0, 0);
    for (int64_t k = 0; k < pairs; ++k) {
      add_at(step * (static_cast<double>(k) + 0.5), 0);
      for (int i = 0; i < 2; ++i) add_at(step * static_cast<double>(k + 1), 1 + 2 * k + i);
    }
    for (int64_t i = 0; i < far; ++i) add_at(step * static_cast<double>(pairs + 1), 100 + i);
    const auto n = static_cast<int64_t>(y.size());
    const Tensor e = Tensor::from_data(std::span<const float>(x), {n, d});
    const Tensor labels = Tensor::from_data(std::span<const int64_t>(y), {n});
    const BatchTripletOptions options{.mining = Mining::SemiHardOrHardest, .normalize = false};
    const TripletOracle oracle(e, labels, options);
    for_each_isa([&](cpu::Isa) { EXPECT_EQ(triples(mine_triplets(e, labels, options)), oracle.terms()); });
  }
}

// Published: pytorch-metric-learning, tests/miners/test_batch_hard_miner.py, embeddings 0..8. For anchor 4 it
// accepts negatives 3 and 5, for anchors 6 (2, 5): the lowest index is ours.
TEST(Mining, MatchesThePublishedBatchHardExample) {
  const float x[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  const int64_t y[] = {0, 0, 1, 1, 0, 2, 1, 1, 1};
  const Tensor e = Tensor::from_data(std::span<const float>(x), {9, 1});
  const Tensor labels = Tensor::from_data(std::span<const int64_t>(y), {9});
  const MinedTriplets mined = mine_triplets(e, labels, {.mining = Mining::BatchHard, .normalize = false});
  EXPECT_EQ(mined.anchor, (std::vector<int64_t>{0, 1, 2, 3, 4, 6, 7, 8}));
  EXPECT_EQ(mined.positive, (std::vector<int64_t>{4, 4, 8, 8, 0, 2, 2, 2}));
  EXPECT_EQ(mined.negative, (std::vector<int64_t>{2, 2, 1, 4, 3, 5, 5, 5}));
}

TEST(Mining, RandomRulesFollowSeedAndStep) {
  const Tensor e = random_tensor({60, 8}, DType::F32, 2);
  const Tensor labels = random_ints({60}, DType::I64, 3, 0, 9);
  const auto mined = [&](uint64_t seed, uint64_t step) {
    return triples(mine_triplets(
        e, labels, {.mining = Mining::RandomViolator, .margin = 1, .seed = seed, .step = step}));
  };
  EXPECT_EQ(mined(1, 2), mined(1, 2));
  EXPECT_NE(mined(1, 2), mined(2, 2));
  EXPECT_NE(mined(1, 2), mined(1, 3));
}

TEST(Mining, BatchAllListsEveryTriplet) {
  const LabelledBatch batch = make_batch(BatchKind::Normal, 8);
  const TripletOracle oracle(batch.e, batch.labels, {});
  EXPECT_EQ(triples(mine_triplets(batch.e, batch.labels)), oracle.terms());
}

}  // namespace
}  // namespace tern::test
