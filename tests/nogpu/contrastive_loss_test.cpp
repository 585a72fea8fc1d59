// The contrastive loss on pairs and batches, on the device against the naive loops: the same bits, since both
// sum in f64 in the same order.

#include "tern/ops/contrastive_loss.h"

#include "tern/core/error.h"
#include "tern/tests/nogpu/emulator.h"
#include "tern/tests/nogpu/parity.h"

namespace tern::test {
namespace {

const std::vector<Shape> kShapes = {{0, 3},  {1, 4},   {2, 1},  {3, 33},  {15, 8},  {16, 31}, {17, 32},
                                    {31, 2}, {33, 65}, {48, 7}, {63, 64}, {64, 16}, {5, 130}};

Tensor with_duplicates(const Shape& shape, uint64_t seed) {
  Tensor e = random_tensor(shape, DType::F32, seed);
  for (int64_t i = 1; i < shape[0]; i += 4)
    std::copy_n(e.data<float>() + (i - 1) * shape[1], shape[1], e.mutable_data<float>() + i * shape[1]);
  return e;
}

void expect_pairs(const Shape& shape, Reduction reduction, DType flag) {
  SCOPED_TRACE(testing::Message() << to_string(shape) << " " << to_string(reduction));
  const Tensor same = random_ints({shape[0]}, flag, 5, 0, 1);
  expect_parity(
      [&](const Tensors& x) {
        return contrastive_loss(x[0], x[1], same.to(x[0].device()), {.margin = 4, .reduction = reduction});
      },
      {random_tensor(shape, DType::F32, 1), with_duplicates(shape, 1)},
      {.tolerance = 1e-7, .gradient_tolerance = 1e-7});
}
void expect_batch(const Shape& shape, Reduction reduction) {
  SCOPED_TRACE(testing::Message() << to_string(shape) << " " << to_string(reduction));
  const Tensor labels = random_ints({shape[0]}, DType::I64, 7, -2, 3);
  const double tolerance = reduction == Reduction::None ? 0 : 1e-7;
  expect_parity(
      [&](const Tensors& x) {
        return batch_contrastive_loss(x[0], labels.to(x[0].device()), {.margin = 3, .reduction = reduction})
            .loss;
      },
      {with_duplicates(shape, 2)}, {.tolerance = tolerance, .gradient_tolerance = tolerance});
}

TEST(NoGpuContrastiveLoss, PairsOfEveryShape) {
  for (const Shape& shape : kShapes)
    for (const DType flag : {DType::Bool, DType::I64}) expect_pairs(shape, Reduction::None, flag);
}
TEST(NoGpuContrastiveLoss, Reductions) {
  for (const Shape& shape : {Shape{0, 3}, Shape{1, 4}, Shape{17, 32}})
    for (const Reduction reduction : {Reduction::Mean, Reduction::MeanNonZero, Reduction::Sum}) {
      expect_pairs(shape, reduction, DType::I64);
      expect_batch(shape, reduction);
    }
}

// One shape a test: the emulator takes a second for the larger ones.
class NoGpuContrastiveBatch : public testing::TestWithParam<Shape> {};
INSTANTIATE_TEST_SUITE_P(Shapes, NoGpuContrastiveBatch, testing::ValuesIn(kShapes),
                         [](const auto& info) { return concat_text(info.param[0], "x", info.param[1]); });
TEST_P(NoGpuContrastiveBatch, HasTheBitsOfTheCpu) { expect_batch(GetParam(), Reduction::None); }

TEST(NoGpuContrastiveLoss, Statistics) {
  for (const int64_t n : {0, 1, 2, 17, 40}) {
    const Tensor e = random_tensor({n, 6}, DType::F32, 3), labels = random_ints({n}, DType::I64, 8, 0, 4);
    const ContrastiveStats expected = batch_contrastive_loss(e, labels, {.margin = 3}).stats();
    for_each_thread_order([&] {
      const ContrastiveStats s = batch_contrastive_loss(e.to(kCuda), labels.to(kCuda), {.margin = 3}).stats();
      EXPECT_EQ(s.same, expected.same);
      EXPECT_EQ(s.different, expected.different);
      EXPECT_EQ(s.active, expected.active);
      EXPECT_EQ(s.near, expected.near);
      EXPECT_EQ(s.d_same.p10, expected.d_same.p10);
      EXPECT_EQ(s.d_same.p90, expected.d_same.p90);
      EXPECT_EQ(s.d_different.median, expected.d_different.median);
      EXPECT_NEAR(s.d_same.mean, expected.d_same.mean, 1e-12);
      EXPECT_NEAR(s.d_different.mean, expected.d_different.mean, 1e-12);
      EXPECT_NEAR(s.pairwise_rms, expected.pairwise_rms, 1e-12);
      EXPECT_NEAR(s.spread, expected.spread, 1e-12);
    });
  }
}

TEST(NoGpuContrastiveLoss, AFlagThatIsNeitherGivesNaN) {
  const Tensor a = random_tensor({3, 2}), flags = Tensor::from_data(std::vector<int64_t>{0, 2, 1}, {3});
  const Tensor loss =
      contrastive_loss(a.to(kCuda), a.to(kCuda), flags.to(kCuda), {.reduction = Reduction::None}).to(kCpu);
  EXPECT_FALSE(std::isnan(loss.to_vector()[0]));
  EXPECT_TRUE(std::isnan(loss.to_vector()[1]));
}

TEST(NoGpuContrastiveLoss, NothingWaitsForTheDevice) {
  Tensor e = random_tensor({20, 9}).to(kCuda);
  const Tensor labels = random_ints({20}, DType::I64, 8, 0, 4).to(kCuda);
  e.set_requires_grad();
  batch_contrastive_loss(e, labels).loss.backward();  // from here on memory is reused
  e.clear_grad();
  const uint64_t before = nogpu::counts().launches;
  const BatchContrastiveResult result = batch_contrastive_loss(e, labels);
  result.loss.backward();
  EXPECT_EQ(nogpu::counts().launches, before);
  EXPECT_GT(result.stats().active, 0);
  EXPECT_GT(nogpu::counts().launches, before);
}

TEST(NoGpuContrastiveLoss, F64StaysOnTheCpu) {
  const Tensor x = random_tensor({2, 3}, DType::F64).to(kCuda),
               y = random_ints({2}, DType::I64, 1, 0, 1).to(kCuda);
  expect_error<DTypeError>([&] { contrastive_loss(x, x, y); },
                           {"f64", "cuda", "hint: compute f64 on the CPU"});
  expect_error<DTypeError>([&] { batch_contrastive_loss(x, y); },
                           {"f64", "cuda", "hint: compute f64 on the CPU"});
}

}  // namespace
}  // namespace tern::test
