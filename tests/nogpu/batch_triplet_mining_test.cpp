// The device chooses the triplets that the CPU chooses for the same bits of the embeddings, whatever the
// order in which its Gram matrix was summed.

#include "tern/cuda/triplet_batch.cuh"
#include "tern/tests/nogpu/libraries.h"
#include "tern/tests/nogpu/parity.h"
#include "tests/ops/triplet_batches.h"
#include "tests/ops/triplet_oracle.h"

namespace tern::test {
namespace {

using Triplets = std::vector<int64_t>;

Triplets values_of(const Tensor& triplets) {
  return {triplets.data<int64_t>(), triplets.data<int64_t>() + triplets.numel()};
}

// The embeddings as mining sees them: normalised on the CPU, so that both sides get the same bits.
Tensor unit_rows(const LabelledBatch& batch, const BatchTripletOptions& options) {
  return options.normalize || options.distance == Distance::Cosine ? l2_normalize(batch.e) : batch.e;
}

class NoGpuMining : public testing::TestWithParam<Mining> {};
INSTANTIATE_TEST_SUITE_P(Rules, NoGpuMining, testing::ValuesIn(kMined),
                         [](const auto& info) { return std::string(to_string(info.param)); });

TEST_P(NoGpuMining, ChoosesWhatTheCpuChooses) {
  size_t terms = 0;
  for_each_thread_order([&] {
    for (int kind = 0; kind < static_cast<int>(BatchKind::Count); ++kind)
      for (uint64_t seed = 0; seed < 8; ++seed) {
        const LabelledBatch batch = make_batch(static_cast<BatchKind>(kind), seed);
        const BatchTripletOptions options = mining_options(GetParam(), seed);
        const Tensor u = unit_rows(batch, options);
        const BatchTripletGeometry geometry{u.size(0), u.size(1), options, false};
        const Triplets expected = values_of(cpu::batch_triplet_mine(geometry, u, batch.labels));
        EXPECT_EQ(values_of(cu::batch_triplet_mine(geometry, u.to(kCuda), batch.labels.to(kCuda))), expected)
            << "kind " << kind << " seed " << seed;
        terms += expected.size();
      }
  });
  EXPECT_GT(terms, 500u);
}

// A Gram matrix with other rounding errors: each product is summed in an order of its own (a permutation of
// the coordinates by seed), or it is exact but for a random error up to what the bound allows.
Tensor other_gram(const Tensor& u, const std::vector<double>& norms, bool at_the_bound, uint64_t seed) {
  const int64_t n = u.size(0), d = u.size(1);
  const float* x = u.data<float>();
  double largest = 0;
  for (const double norm : norms) largest = std::max(largest, norm);
  Tensor gram = Tensor::empty({n, n});
  PhiloxSequence draw(seed, RandomStream::Test, 77);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      const uint32_t shift = draw.below(static_cast<uint32_t>(d)), sign = draw.below(2);
      float sum = 0;
      double exact = 0;
      for (int64_t k = 0; k < d; ++k) {
        const int64_t at = (sign ? d - 1 - k : k) + shift;
        sum += x[i * d + at % d] * x[j * d + at % d];
        exact += static_cast<double>(x[i * d + k]) * static_cast<double>(x[j * d + k]);
      }
      const double error = gram_error(d, norms[static_cast<size_t>(i)] + largest);
      const double off = 0.4 * error * (2 * static_cast<double>(draw.uniform()) - 1);
      gram.mutable_data<float>()[i * n + j] = at_the_bound ? static_cast<float>(exact + off) : sum;
    }
  return gram;
}

// Mines on the device from a given Gram matrix.
Triplets mine_from(const Tensor& gram, const Tensor& u, const Tensor& labels,
                   const std::vector<double>& norms, const BatchTripletOptions& options) {
  const int64_t n = u.size(0), each = cu::slots_per_anchor(options.mining, n);
  float largest = 0;
  for (const double norm : norms) largest = std::max(largest, static_cast<float>(norm));
  const Tensor on_device = u.to(kCuda), y = labels.to(kCuda), g = gram.to(kCuda),
               squares = Tensor::from_data(std::span<const double>(norms), {n}).to(kCuda),
               summary =
                   Tensor::from_data(std::vector<double>{static_cast<double>(largest), 1}, {2}).to(kCuda),
               slots = Tensor::empty({n, each, 2}, {DType::I32, kCuda});
  cu::mine_slots(kCuda,
                 {.u = cu::input<float>(on_device),
                  .labels = cu::input<int64_t>(y),
                  .norms = cu::input<double>(squares),
                  .summary = cu::input<double>(summary),
                  .gram = cu::output<float>(g),
                  .n = n,
                  .d = u.size(1),
                  .options = options,
                  .step = cu::draw_step(kCuda, options.step)},
                 {cu::output<int32_t>(slots), each});
  const Tensor found = slots.to(kCpu);
  const int32_t* slot = found.data<int32_t>();
  Triplets terms;
  for (int64_t t = 0; t < n * each; ++t)
    if (slot[2 * t + 1] >= 0) terms.insert(terms.end(), {t / each, slot[2 * t], slot[2 * t + 1]});
  return terms;
}

TEST_P(NoGpuMining, DoesNotDependOnHowTheGramMatrixWasSummed) {
  for (int kind = 0; kind < static_cast<int>(BatchKind::Count); ++kind)
    for (uint64_t seed = 0; seed < 12; ++seed) {
      const LabelledBatch batch = make_batch(static_cast<BatchKind>(kind), seed);
      const BatchTripletOptions options = mining_options(GetParam(), seed);
      const Tensor u = unit_rows(batch, options);
      std::vector<double> norms;
      for (int64_t i = 0; i < u.size(0); ++i) {
        norms.push_back(0);
        for (int64_t k = 0; k < u.size(1); ++k)
          norms.back() += std::pow(static_cast<double>(u.data<float>()[i * u.size(1) + k]), 2);
      }
      const Triplets expected =
          values_of(cpu::batch_triplet_mine({u.size(0), u.size(1), options, false}, u, batch.labels));
      for (const bool at_the_bound : {false, true})
        EXPECT_EQ(mine_from(other_gram(u, norms, at_the_bound, seed), u, batch.labels, norms, options),
                  expected)
            << "kind " << kind << " seed " << seed << (at_the_bound ? " at the bound" : "");
    }
}

// Distances that differ by less than the Gram matrix can tell, far from the origin: nearly all is decided
// directly.
TEST_P(NoGpuMining, DecidesBelowTheRoundingOfTheGramMatrix) {
  const int64_t n = 40, d = 8;
  const Tensor e = random_ints({n, d}, DType::F32, 3, 0, 99), labels = random_ints({n}, DType::I64, 4, 0, 6);
  for (int64_t i = 0; i < e.numel(); ++i) e.mutable_data<float>()[i] = 100.0f + 1e-4f * e.data<float>()[i];
  const bool weighted = GetParam() == Mining::DistanceWeighted;
  const BatchTripletOptions options{.mining = GetParam(), .margin = 1e-4, .normalize = weighted, .seed = 5};
  const Tensor u = weighted ? l2_normalize(e) : e;
  const BatchTripletGeometry geometry{n, d, options, false};
  const Triplets expected = values_of(cpu::batch_triplet_mine(geometry, u, labels));
  for_each_thread_order([&] {
    EXPECT_EQ(values_of(cu::batch_triplet_mine(geometry, u.to(kCuda), labels.to(kCuda))), expected);
  });
}

// More samples than the threads of a block, blocks of weights that are not full, and large dimensions.
TEST_P(NoGpuMining, LargerBatches) {
  nogpu::use_library_stand_ins();
  for (const auto& [n, d, classes] : {std::tuple{65, 33, 9}, {127, 64, 5}, {128, 130, 40}, {100, 3, 2}}) {
    const Tensor u = l2_normalize(random_tensor({n, d}, DType::F32, 5)),
                 labels = random_ints({n}, DType::I64, 6, 0, classes);
    const BatchTripletGeometry geometry{
        n, d, {.mining = GetParam(), .margin = 0.3, .seed = 4, .step = 9}, false};
    const Triplets expected = values_of(cpu::batch_triplet_mine(geometry, u, labels));
    EXPECT_GT(expected.size(), 90u);
    EXPECT_EQ(values_of(cu::batch_triplet_mine(geometry, u.to(kCuda), labels.to(kCuda))), expected) << n;
  }
}

TEST(NoGpuMiningOptions, RandomRulesFollowSeedAndStep) {
  nogpu::use_library_stand_ins();
  const Tensor u = l2_normalize(random_tensor({60, 8}, DType::F32, 2)),
               labels = random_ints({60}, DType::I64, 3, 0, 9);
  for (const Mining mining : {Mining::RandomViolator, Mining::DistanceWeighted}) {
    const auto mined = [&](uint64_t seed, uint64_t step) {
      return values_of(
          cu::batch_triplet_mine({60, 8, {.mining = mining, .margin = 1, .seed = seed, .step = step}, false},
                                 u.to(kCuda), labels.to(kCuda)));
    };
    EXPECT_EQ(mined(1, 2), mined(1, 2));
    EXPECT_NE(mined(1, 2), mined(2, 2));
    EXPECT_NE(mined(1, 2), mined(1, 3));
  }
}

}  // namespace
}  // namespace tern::test
