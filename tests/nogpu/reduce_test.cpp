// Reductions on the device against the naive loops: sums of integers and extremes bit by bit, ties and NaN
// included.

#include "tern/ops/reduce.h"

#include <limits>

#include "tern/ops/shape_ops.h"
#include "tern/tests/nogpu/parity.h"

namespace tern::test {
namespace {

// The axis in the middle is reduced.
const std::vector<Shape> kContiguous = {{1, 0, 1},    {0, 5, 1},    {1, 1, 1},    {3, 31, 1},   {2, 32, 1},
                                        {9, 33, 1},   {2, 1024, 1}, {2, 1025, 1}, {3, 1028, 1}, {1, 8191, 1},
                                        {1, 8192, 1}, {1, 8193, 1}, {2, 8191, 1}, {60, 4, 1}};
const std::vector<Shape> kStrided = {{1, 0, 2},   {0, 3, 2},   {1, 1, 2},   {1, 257, 3},
                                     {2, 5, 7},   {1, 100, 8}, {3, 50, 64}, {1, 2049, 7},
                                     {2, 33, 68}, {1, 9, 260}, {1, 7, 515}, {1, 4000, 4}};

template <class Op>
void expect_exact(const std::vector<Shape>& shapes, Op op) {
  for (const Shape& shape : shapes)
    for (const DType dtype : {DType::F32, DType::BF16}) {
      SCOPED_TRACE(to_string(shape));
      expect_parity([&](const Tensors& x) { return op(x[0]); }, {random_ints(shape, dtype, 3, -7, 7)},
                    {.tolerance = 0, .gradient_tolerance = 0});
    }
}

TEST(NoGpuReduce, SumsOfContiguousIntegersAreExact) {
  expect_exact(kContiguous, [](const Tensor& x) { return sum(x, 1); });
}
TEST(NoGpuReduce, SumsOverRowsOfIntegersAreExact) {
  expect_exact(kStrided, [](const Tensor& x) { return sum(x, 1); });
}
TEST(NoGpuReduce, MeansOfNormalNumbers) {
  for (const auto* shapes : {&kContiguous, &kStrided})
    for (const Shape& shape : *shapes) {
      if (shape[1] == 0) continue;
      SCOPED_TRACE(to_string(shape));
      expect_parity([](const Tensors& x) { return mean(x[0], 1, true); }, {random_tensor(shape)});
      expect_parity([](const Tensors& x) { return sum(x[0]); }, {random_tensor(shape)});
    }
}
TEST(NoGpuReduce, TensorsThatAreNotAlignedToVectors) {
  expect_exact({{5, 1023, 1}, {5, 7, 9}, {3, 5, 12}}, [](const Tensor& x) { return sum(slice(x, 1, 3), 1); });
}

TEST(NoGpuReduce, ExtremesWithTies) {
  for (const auto* shapes : {&kContiguous, &kStrided})
    for (const Shape& shape : *shapes) {
      if (shape[1] == 0) continue;
      expect_exact({shape}, [](const Tensor& x) { return Tensors{max(x, 1), min(x, 1)}; });
      expect_exact({shape}, [](const Tensor& x) { return Tensors{argmax(x, 1), argmin(x, 1)}; });
    }
}
TEST(NoGpuReduce, NanWinsExtremes) {
  for (const Shape& shape : {Shape{2, 300, 1}, Shape{2, 300, 3}}) {
    const Tensor x = random_tensor(shape);
    for (const int64_t at : {int64_t{17}, int64_t{250}, shape.numel() - 50})
      x.mutable_data<float>()[at] = std::numeric_limits<float>::quiet_NaN();
    expect_exact({shape}, [&](const Tensor& like) {
      return Tensors{argmax(x.to(like.device()), 1), argmin(x.to(like.device()), 1)};
    });
  }
}
TEST(NoGpuReduce, F64IsRefused) {
  expect_error<DTypeError>([] { sum(random_tensor({3}, DType::F64).to(kCuda)); },
                           {"sum", "f64", "on the CPU"});
}

}  // namespace
}  // namespace tern::test
