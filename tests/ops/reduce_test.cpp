#include "tern/ops/reduce.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tern/ops/creation.h"
#include "tern/ops/shape_ops.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using test::expect_close;
using test::expect_equal_bits;
using test::expect_error;
using test::gradcheck;
using test::random_ints;
using test::random_tensor;

TEST(Reduce, AgreesWithNaiveLoopsOnOddShapes) {
  for (const Shape& shape : {Shape{7}, Shape{3, 5}, Shape{2, 9, 17}, Shape{1, 4, 1, 33}, Shape{5000, 3}}) {
    const Tensor x = random_tensor(shape);
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const ReduceGeometry g = reduce_geometry(shape, axis);
      const auto v = x.to_vector();
      const auto total = sum(x, axis).to_vector(), high = max(x, axis, true).to_vector(),
                 low = min(x, axis).to_vector();
      const auto where = argmax(x, axis).to_vector();
      for (int64_t o = 0; o < g.outer; ++o)
        for (int64_t k = 0; k < g.inner; ++k) {
          double s = 0, h = -INFINITY, l = INFINITY, at = 0;
          for (int64_t i = 0; i < g.n; ++i) {
            const double value = v[static_cast<size_t>((o * g.n + i) * g.inner + k)];
            s += value;
            if (value > h) at = static_cast<double>(i);
            h = std::max(h, value);
            l = std::min(l, value);
          }
          const auto out = static_cast<size_t>(o * g.inner + k);
          ASSERT_NEAR(total[out], s, 1e-5 * (1 + std::fabs(s)));
          ASSERT_EQ(high[out], h);
          ASSERT_EQ(low[out], l);
          ASSERT_EQ(where[out], at);
        }
    }
  }
}

TEST(Reduce, SumsDoNotDependOnThreads) {
  const Tensor x = random_tensor({300, 7, 65});
  const Tensor whole = sum(x), rows = sum(x, 0), last = mean(x, 2);
  test::for_each_thread_count([&](int) {
    expect_equal_bits(sum(x), whole);
    expect_equal_bits(sum(x, 0), rows);
    expect_equal_bits(mean(x, 2), last);
  });
}

TEST(Reduce, NanWinsAndEmptyAxesAreDefined) {
  const double nan = std::nan("");
  EXPECT_TRUE(std::isnan(max(tensor({1, nan, 3})).item()));
  EXPECT_TRUE(std::isnan(min(tensor({nan, 2})).item()));
  EXPECT_EQ(sum(zeros({0, 3}), 0).to_vector(), (std::vector<double>{0, 0, 0}));
  EXPECT_TRUE(std::isnan(mean(zeros({0})).item()));
  expect_error<ShapeError>([] { max(zeros({0, 3}), 0); }, {"empty"});
  expect_error<DTypeError>([] { sum(arange(0, 3)); }, {"i64"});
  expect_error<ShapeError>([] { sum(zeros({2}), 1); }, {"dimension 1"});
}

TEST(Reduce, TopKIsSortedWithLowestIndexFirst) {
  const TopK top = topk(tensor({{3, 1, 3, 2}, {0, 0, 0, 5}}), 3);
  EXPECT_EQ(top.values.to_vector(), (std::vector<double>{3, 3, 2, 5, 0, 0}));
  EXPECT_EQ(top.indices.to_vector(), (std::vector<double>{0, 2, 3, 3, 0, 1}));
}

TEST(GradCheck, sum) {
  const Tensor x = random_tensor({3, 4, 2}, DType::F64, 1);
  gradcheck([](const auto& in) { return sum(in[0]); }, {x});
  gradcheck([](const auto& in) { return mean(in[0]); }, {x});
  for (int axis = 0; axis < 3; ++axis) {
    gradcheck([&](const auto& in) { return sum(in[0], axis, true); }, {x});
    gradcheck([&](const auto& in) { return mean(in[0], axis); }, {x});
  }
}

TEST(GradCheck, max) {
  const Tensor x = random_tensor({3, 4, 2}, DType::F64, 1);
  for (int axis = 0; axis < 3; ++axis) {
    gradcheck([&](const auto& in) { return max(in[0], axis); }, {x});
    gradcheck([&](const auto& in) { return min(in[0], axis); }, {x});
  }
  gradcheck([](const auto& in) { return topk(in[0], 1).values; }, {x});
}

// Values and steps that f32 holds exactly, so that the differences are exact too.
TEST(GradCheck, cast) {
  const Tensor x = random_ints({3, 4}, DType::I64, 1, -8, 8).to(DType::F64);
  gradcheck([](const auto& in) { return in[0].to(DType::F32).to(DType::F64); }, {x}, {.eps = 0x1p-10});
}

}  // namespace
}  // namespace tern
