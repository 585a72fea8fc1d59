// Loss, gradient and statistics of the batch triplet loss on the device against the naive loops.

#include "tern/ops/batch_triplet_loss.h"

#include <cmath>
#include <limits>

#include "tern/core/error.h"
#include "tern/ops/l2_normalize.h"
#include "tern/tests/nogpu/emulator.h"
#include "tern/tests/nogpu/libraries.h"
#include "tern/tests/nogpu/parity.h"

namespace tern::test {
namespace {

constexpr Mining kRules[] = {Mining::BatchAll,          Mining::BatchHard,      Mining::SemiHard,
                             Mining::SemiHardOrHardest, Mining::RandomViolator, Mining::EasyPositive,
                             Mining::DistanceWeighted};
constexpr Distance kDistances[] = {Distance::Euclidean, Distance::SquaredEuclidean, Distance::Cosine};

class NoGpuBatchTriplet : public testing::TestWithParam<Mining> {};
INSTANTIATE_TEST_SUITE_P(Rules, NoGpuBatchTriplet, testing::ValuesIn(kRules),
                         [](const auto& info) { return std::string(to_string(info.param)); });

// What the two kernels of the op give for the same embeddings, of length 1 or not.
struct Found {
  Tensor sums, du;
  TripletStats stats;
};
Found find(Device device, const BatchTripletOptions& options, const Tensor& u, const Tensor& labels) {
  nogpu::use_library_stand_ins();
  const int64_t n = u.size(0);
  const BatchTripletGeometry g{n, u.size(1), options, true};
  const Tensor x = u.to(device), y = labels.to(device), scale = random_tensor({n}, DType::F64, 31).to(device);
  Tensor du = Tensor::empty(u.shape(), {DType::F32, device});
  const bool cuda = device.is_cuda();
  const BatchTripletTerms terms =
      cuda ? cu::batch_triplet_forward(g, x, y) : cpu::batch_triplet_forward(g, x, y);
  if (cuda) cu::batch_triplet_backward(g, x, terms, scale, du);
  else cpu::batch_triplet_backward(g, x, terms, scale, du);
  return {terms.anchor_sums.to(kCpu), du.to(kCpu), terms.measures.stats()};
}

void expect_equal(const DistanceSummary& a, const DistanceSummary& b) {
  EXPECT_NEAR(a.mean, b.mean, 1e-6 * (1 + b.mean));
  EXPECT_NEAR(a.p10, b.p10, 1e-6 * (1 + b.p10));
  EXPECT_NEAR(a.median, b.median, 1e-6 * (1 + b.median));
  EXPECT_NEAR(a.p90, b.p90, 1e-6 * (1 + b.p90));
}

void expect_same(const Found& a, const Found& b) {
  expect_close(a.sums, b.sums, 2e-6);
  expect_close(a.du, b.du, 4e-6);
  EXPECT_EQ(a.stats.valid, b.stats.valid);
  EXPECT_EQ(a.stats.terms, b.stats.terms);
  EXPECT_EQ(a.stats.active, b.stats.active);
  EXPECT_EQ(a.stats.hard, b.stats.hard);
  EXPECT_EQ(a.stats.semi_hard, b.stats.semi_hard);
  expect_equal(a.stats.d_ap, b.stats.d_ap);
  expect_equal(a.stats.d_an, b.stats.d_an);
  EXPECT_NEAR(a.stats.pairwise_rms, b.stats.pairwise_rms, 1e-9 * (1 + b.stats.pairwise_rms));
  EXPECT_NEAR(a.stats.spread, b.stats.spread, 1e-9 * (1 + b.stats.spread));
}

void compare(const BatchTripletOptions& options, const Tensor& u, const Tensor& labels) {
  const cpu::Isa before = cpu::active_isa();
  cpu::set_isa(cpu::Isa::Reference);
  const Found expected = find(kCpu, options, u, labels);
  cpu::set_isa(before);
  std::vector<Found> found;
  for_each_thread_order([&] {
    found.push_back(find(kCuda, options, u, labels));
    expect_same(found.back(), expected);
    expect_equal_bits(found.back().sums, found.front().sums);
    expect_equal_bits(found.back().du, found.front().du);
  });
}

TEST_P(NoGpuBatchTriplet, EveryForm) {
  const Tensor e = random_tensor({37, 11}, DType::F32, 3), labels = random_ints({37}, DType::I64, 2, 0, 7);
  for (const Distance distance : kDistances)
    for (const bool soft : {false, true})
      for (const bool normalize : {true, false}) {
        if (!normalize && (GetParam() == Mining::DistanceWeighted || distance == Distance::Cosine)) continue;
        SCOPED_TRACE(testing::Message()
                     << to_string(distance) << (soft ? " soft" : "") << (normalize ? " unit" : ""));
        compare({.mining = GetParam(),
                 .margin = 0.4,
                 .distance = distance,
                 .normalize = normalize,
                 .soft_margin = soft},
                normalize ? l2_normalize(e) : e, labels);
      }
}

TEST_P(NoGpuBatchTriplet, EveryShape) {
  const std::tuple<int64_t, int64_t, int> shapes[] = {
      {0, 3, 1},   {1, 4, 0},   {2, 1, 0},    {2, 1, 1},   {3, 33, 1},   {16, 8, 3}, {31, 64, 4},
      {32, 65, 0}, {33, 7, 40}, {64, 130, 9}, {65, 16, 1}, {100, 5, 30}, {128, 3, 5}};
  for (const auto& [n, d, classes] : shapes) {
    SCOPED_TRACE(testing::Message() << n << " " << d << " " << classes);
    compare({.mining = GetParam(), .margin = 0.5, .seed = 3},
            l2_normalize(random_tensor({n, d}, DType::F32, 5)), random_ints({n}, DType::I64, 7, 0, classes));
  }
}

// Integers: distances tie, terms lie exactly at the margin, points coincide.
TEST_P(NoGpuBatchTriplet, Ties) {
  if (GetParam() == Mining::DistanceWeighted) return;  // wants unit length
  for (uint64_t seed = 0; seed < 6; ++seed)
    compare({.mining = GetParam(),
             .margin = 1,
             .distance = Distance::SquaredEuclidean,
             .normalize = false,
             .seed = seed},
            random_ints({30, 3}, DType::F32, seed, -2, 2), random_ints({30}, DType::I64, seed + 1, 0, 5));
}

TEST_P(NoGpuBatchTriplet, NotFiniteGivesNaN) {
  Tensor u = random_tensor({9, 5}, DType::F32, 4);
  u.mutable_data<float>()[13] = std::numeric_limits<float>::infinity();
  const Found found = find(kCuda, {.mining = GetParam()}, u, random_ints({9}, DType::I64, 4, 0, 2));
  for (const double sum : found.sums.to_vector()) EXPECT_TRUE(std::isnan(sum));
  for (const double g : found.du.to_vector()) EXPECT_TRUE(std::isnan(g));
  EXPECT_EQ(found.stats.terms, 0);
  EXPECT_GT(found.stats.valid, 0);
}

TEST_P(NoGpuBatchTriplet, Reductions) {
  const Tensor e = random_tensor({40, 12}, DType::F32, 3), labels = random_ints({40}, DType::I64, 2, 0, 7);
  for (const Reduction reduction :
       {Reduction::Mean, Reduction::MeanNonZero, Reduction::Sum, Reduction::None}) {
    SCOPED_TRACE(testing::Message() << to_string(reduction));
    const BatchTripletOptions options{.mining = GetParam(), .margin = 0.4, .reduction = reduction};
    expect_parity(
        [&](const Tensors& x) { return batch_triplet_loss(x[0], labels.to(x[0].device()), options).loss; },
        {e}, {.tolerance = 2e-6, .gradient_tolerance = 1e-5});
  }
}

TEST_P(NoGpuBatchTriplet, NothingWaitsForTheDevice) {
  nogpu::use_library_stand_ins();
  Tensor e = random_tensor({24, 9}).to(kCuda);
  const Tensor labels = random_ints({24}, DType::I64, 8, 0, 4).to(kCuda);
  e.set_requires_grad();
  const BatchTripletOptions options{.mining = GetParam()};
  batch_triplet_loss(e, labels, options).loss.backward();  // from here on memory is reused
  e.clear_grad();
  const uint64_t before = nogpu::counts().launches;
  const BatchTripletResult result = batch_triplet_loss(e, labels, options);
  result.loss.backward();
  EXPECT_EQ(nogpu::counts().launches, before);
  EXPECT_GT(result.stats().terms, 0);
  EXPECT_GT(nogpu::counts().launches, before);
}

TEST(NoGpuBatchTripletLoss, F64StaysOnTheCpu) {
  const Tensor x = random_tensor({2, 3}, DType::F64).to(kCuda),
               y = random_ints({2}, DType::I64, 1, 0, 1).to(kCuda);
  expect_error<DTypeError>([&] { batch_triplet_loss(x, y, {.normalize = false}); },
                           {"f64", "cuda", "hint: compute f64 on the CPU"});
}

// Several tiles of positives and of 32 x 64 in the gradient, more pairs than are sampled.
TEST(LongNoGpuBatchTripletLoss, ManyPositives) {
  const Tensor u = l2_normalize(random_tensor({300, 20}, DType::F32, 5)),
               labels = random_ints({300}, DType::I64, 7, 0, 1);
  for (const Mining mining : {Mining::BatchAll, Mining::SemiHard}) {
    const BatchTripletOptions options{.mining = mining, .margin = 0.3};
    const Found a = find(kCuda, options, u, labels), b = find(kCpu, options, u, labels);
    expect_close(a.sums, b.sums, 2e-6);
    expect_close(a.du, b.du, 4e-6);
    EXPECT_EQ(a.stats.terms, b.stats.terms);
    EXPECT_NEAR(a.stats.d_ap.median, b.stats.d_ap.median, 0.01);
    EXPECT_NEAR(a.stats.d_an.p90, b.stats.d_an.p90, 0.01);
  }
}

}  // namespace
}  // namespace tern::test
