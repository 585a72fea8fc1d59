#include "tern/core/shape.h"

#include <gtest/gtest.h>

#include "tests/support/tensors.h"

namespace tern {
namespace {

using test::expect_error;

TEST(Shape, KeepsDimensionsAndCountsElements) {
  const Shape shape{2, 3, 4};
  EXPECT_EQ(shape.rank(), 3);
  EXPECT_EQ(shape.numel(), 24);
  EXPECT_EQ(shape[-1], 4);
  EXPECT_EQ(shape[0], 2);
  EXPECT_EQ(to_string(shape), "[2,3,4]");
  EXPECT_EQ(Shape{}.numel(), 1);
  EXPECT_EQ((Shape{5, 0, 3}).numel(), 0);
  EXPECT_EQ(shape.with(1, 7), (Shape{2, 7, 4}));
}

TEST(Shape, RefusesOverflowEvenBehindAZero) {
  expect_error<ShapeError>([] { Shape({int64_t{1} << 32, int64_t{1} << 32}); }, {"overflow"});
  expect_error<ShapeError>([] { Shape({int64_t{1} << 40, 0, int64_t{1} << 40}); }, {"elements"});
  expect_error<ShapeError>([] { Shape({3, -1}); }, {"negative", "-1"});
  expect_error<ShapeError>([] { Shape({1, 1, 1, 1, 1, 1, 1, 1, 1}); }, {"rank 9"});
  expect_error<ShapeError>([] { (void)Shape({2, 3})[2]; }, {"dimension 2", "[2,3]"});
}

TEST(Shape, BroadcastsLikeNumpy) {
  EXPECT_EQ(broadcast_shapes({4, 1, 3}, {5, 1}), (Shape{4, 5, 3}));
  EXPECT_EQ(broadcast_shapes({}, {2, 2}), (Shape{2, 2}));
  EXPECT_EQ(broadcast_shapes({0, 3}, {1, 3}), (Shape{0, 3}));
  expect_error<ShapeError>([] { broadcast_shapes({2, 3}, {2, 4}); }, {"[2,3]", "[2,4]"});
}

}  // namespace
}  // namespace tern
