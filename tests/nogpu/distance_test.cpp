// Distances on the device against the naive loops.

#include "tern/ops/distance.h"

#include <limits>

#include "tern/core/error.h"
#include "tern/tests/nogpu/parity.h"

namespace tern::test {
namespace {

const std::vector<Shape> kRows = {{0, 3}, {3, 0}, {1, 1},  {1, 31},  {2, 32},  {3, 33},  {7, 64},
                                  {8, 5}, {9, 1}, {16, 3}, {33, 17}, {5, 257}, {64, 12}, {65, 100}};

// Some rows of b are those of a: distances of 0.
Tensor partly_equal(const Tensor& a, uint64_t seed) {
  Tensor b = random_tensor(a.shape(), DType::F32, seed);
  for (int64_t i = 0; i < a.numel(); ++i)
    if (i / a.size(1) % 3 == 2) b.mutable_data<float>()[i] = a.data<float>()[i];
  return b;
}

TEST(NoGpuDistance, Pairwise) {
  for (const Shape& shape : kRows)
    for (const double p : {1.0, 1.5, 2.0, 3.0, std::numeric_limits<double>::infinity()}) {
      SCOPED_TRACE(testing::Message() << to_string(shape) << " p " << p);
      const PairwiseDistanceOptions options{.p = p, .eps = shape[0] % 2 == 0 ? 0 : 1e-6};
      const Tensor a = random_tensor(shape, DType::F32, 3);
      expect_parity([&](const Tensors& x) { return pairwise_distance(x[0], x[1], options); },
                    {a, partly_equal(a, 4)}, {.tolerance = 1e-7, .gradient_tolerance = 1e-7});
    }
}

// Integers: sums are exact, and the largest coordinate is shared by several.
TEST(NoGpuDistance, PairwiseOfIntegersIsExact) {
  for (const double p : {1.0, 2.0, std::numeric_limits<double>::infinity()})
    expect_parity([&](const Tensors& x) { return pairwise_distance(x[0], x[1], {.p = p}); },
                  {random_ints({21, 70}, DType::F32, 1, -2, 2), random_ints({21, 70}, DType::F32, 2, -2, 2)},
                  {.tolerance = 0, .gradient_tolerance = 0});
}

struct CdistCase {
  int64_t n, m, d;
};

TEST(NoGpuDistance, AllPairs) {
  for (const auto& [n, m, d] : {CdistCase{0, 3, 2},
                                {3, 0, 2},
                                {3, 2, 0},
                                {1, 1, 1},
                                {15, 17, 3},
                                {16, 16, 8},
                                {17, 33, 31},
                                {5, 64, 64},
                                {40, 3, 65},
                                {2, 100, 4},
                                {33, 31, 130},
                                {64, 65, 5}})
    for (const Distance distance : {Distance::Euclidean, Distance::SquaredEuclidean}) {
      SCOPED_TRACE(testing::Message() << n << " " << m << " " << d << " " << to_string(distance));
      expect_parity([&](const Tensors& x) { return cdist(x[0], x[1], {.distance = distance}); },
                    {random_tensor({n, d}, DType::F32, 5), random_tensor({m, d}, DType::F32, 6)},
                    {.tolerance = 2e-6, .gradient_tolerance = 2e-6});
    }
}

TEST(NoGpuDistance, CosineOfAllPairs) {
  Tensor a = random_tensor({19, 33}, DType::F32, 5), b = random_tensor({35, 33}, DType::F32, 6);
  std::fill_n(a.mutable_data<float>() + 33, 33, 0.0f);
  std::fill_n(b.mutable_data<float>() + 66, 33, 0.0f);
  expect_parity([](const Tensors& x) { return cdist(x[0], x[1], {.distance = Distance::Cosine}); }, {a, b},
                {.tolerance = 2e-6, .gradient_tolerance = 4e-6});
}

// Coincident and nearly coincident points, far from the origin: the matrix product says nothing about them.
TEST(NoGpuDistance, NearPairsAreComputedDirectly) {
  Tensor a = random_tensor({12, 20}, DType::F32, 1), b = a.clone();
  for (int64_t i = 0; i < a.numel(); ++i) a.mutable_data<float>()[i] += 1000;
  for (int64_t i = 0; i < b.numel(); ++i)
    b.mutable_data<float>()[i] =
        a.data<float>()[i] + (i / 20 % 2 == 0 ? 0.0f : 1e-3f * static_cast<float>(i % 7));
  for (const Distance distance : {Distance::Euclidean, Distance::SquaredEuclidean})
    expect_parity([&](const Tensors& x) { return cdist(x[0], x[1], {.distance = distance}); }, {a, b},
                  {.tolerance = 1e-6, .gradient_tolerance = 1e-5});
}

TEST(NoGpuDistance, F64StaysOnTheCpu) {
  const Tensor x = random_tensor({2, 3}, DType::F64).to(kCuda);
  expect_error<DTypeError>([&] { pairwise_distance(x, x); }, {"f64", "cuda", "hint: compute f64 on the CPU"});
  expect_error<DTypeError>([&] { cdist(x, x); }, {"f64", "cuda", "hint: compute f64 on the CPU"});
}

}  // namespace
}  // namespace tern::test
