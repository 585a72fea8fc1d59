#include "tern/ops/shape_ops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <vector>

#include "tern/ops/creation.h"
#include "tern/ops/reduce.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using test::expect_equal_bits;
using test::expect_error;
using test::gradcheck;
using test::random_tensor;

TEST(ShapeOps, ViewsShareAndCopiesDoNot) {
  Tensor x = arange(0, 24, 1, {.dtype = DType::F32});
  const Tensor view = reshape(x, {4, -1});
  const Tensor rows = slice(view, 1, 3);
  const Tensor copy = narrow(view, 1, 2, 3);
  EXPECT_EQ(view.shape(), (Shape{4, 6}));
  x.fill(5);
  EXPECT_EQ(rows.to_vector(), std::vector<double>(12, 5));
  EXPECT_EQ(copy.to_vector(), (std::vector<double>{2, 3, 4, 8, 9, 10, 14, 15, 16, 20, 21, 22}));
}

TEST(ShapeOps, SplitUndoesConcatOnEveryAxis) {
  for (int axis = -3; axis < 3; ++axis) {
    const Shape shape{2, 3, 4};
    const Tensor a = random_tensor(shape, DType::F32, 1),
                 b = random_tensor(shape.with(axis, 5), DType::F32, 2);
    const auto pieces = split(concat({a, b}, axis), {a.size(axis), 5}, axis);
    expect_equal_bits(pieces[0], a);
    expect_equal_bits(pieces[1], b);
  }
}

// Every order of four axes: neighbours that stay together, and all the others; long enough for several tasks.
TEST(ShapeOps, EveryPermutationMovesEveryElement) {
  const std::vector<int64_t> sizes{37, 5, 12, 9};
  const Tensor x = arange(0, 37 * 5 * 12 * 9, 1, {.dtype = DType::F32});
  const std::vector<int64_t> stride{5 * 12 * 9, 12 * 9, 9, 1};
  std::vector<int> axes{0, 1, 2, 3};
  do {
    const Tensor y = permute(reshape(x, Shape(std::span<const int64_t>(sizes))), std::span<const int>(axes));
    const float* element = y.data<float>();
    int64_t wrong = 0;
    for (int64_t a = 0; a < y.size(0); ++a)
      for (int64_t b = 0; b < y.size(1); ++b)
        for (int64_t c = 0; c < y.size(2); ++c)
          for (int64_t d = 0; d < y.size(3); ++d) {
            const auto from = [&](int i) {
              return stride[static_cast<size_t>(axes[static_cast<size_t>(i)])];
            };
            wrong += *element++ != static_cast<float>(a * from(0) + b * from(1) + c * from(2) + d * from(3));
          }
    ASSERT_EQ(wrong, 0) << axes[0] << axes[1] << axes[2] << axes[3];
  } while (std::next_permutation(axes.begin(), axes.end()));
}

TEST(ShapeOps, PermuteAgreesWithIndexing) {
  const Tensor x = random_tensor({2, 3, 4, 5});
  const Tensor y = permute(x, {2, 0, 3, 1});
  ASSERT_EQ(y.shape(), (Shape{4, 2, 5, 3}));
  for (int64_t a = 0; a < 2; ++a)
    for (int64_t b = 0; b < 3; ++b)
      for (int64_t c = 0; c < 4; ++c)
        for (int64_t d = 0; d < 5; ++d)
          ASSERT_EQ(y.data<float>()[((c * 2 + a) * 5 + d) * 3 + b],
                    x.data<float>()[((a * 3 + b) * 4 + c) * 5 + d]);
  expect_equal_bits(transpose(transpose(x, 0, 3), 0, 3), x);
}

TEST(ShapeOps, FlattenGivesChannelsFirstOrder) {
  const Tensor x = arange(0, 8).to(DType::F32);
  const Tensor y = flatten(reshape(x, {1, 2, 2, 2}));  // N,H,W,C
  EXPECT_EQ(y.shape(), (Shape{1, 8}));
  EXPECT_EQ(y.to_vector(), (std::vector<double>{0, 2, 4, 6, 1, 3, 5, 7}));
}

TEST(ShapeOps, EmptyTensorsPassThrough) {
  EXPECT_EQ(flatten(zeros({0, 2, 2, 3})).shape(), (Shape{0, 0}));
  EXPECT_EQ(concat({zeros({0, 3}), ones({1, 3})}).shape(), (Shape{1, 3}));
  EXPECT_EQ(slice(ones({3, 2}), 1, 1).numel(), 0);
  EXPECT_EQ(permute(zeros({0, 3}), {1, 0}).shape(), (Shape{3, 0}));
}

TEST(ShapeOps, ErrorsNameOpAndValues) {
  const Tensor x = zeros({2, 3});
  expect_error<ShapeError>([&] { reshape(x, {4, 2}); }, {"reshape", "[2,3]", "[4,2]"});
  expect_error<ShapeError>([&] { reshape(x, {4, -1}); }, {"reshape"});
  expect_error<ShapeError>([&] { slice(x, 1, 5); }, {"slice", "5"});
  expect_error<ShapeError>([&] { narrow(x, 1, 2, 2); }, {"narrow"});
  expect_error<ShapeError>([&] { concat({x, zeros({2, 4})}); }, {"concat", "[2,4]"});
  expect_error<ShapeError>([&] { permute(x, {0, 0}); }, {"permute"});
  expect_error<ShapeError>([&] { gather_rows(x, arange(0, 3)); }, {"gather_rows", "2"});
  expect_error<ShapeError>([&] { split(x, {1, 3}, 1); }, {"split", "4"});
}

Tensor wide_input() { return random_tensor({2, 3, 2, 2}, DType::F64, 1); }

TEST(GradCheck, reshape) {
  gradcheck([](const auto& in) { return reshape(in[0], {4, 6}); }, {wide_input()});
  gradcheck([](const auto& in) { return slice(in[0], 1, 2); }, {wide_input()});
  gradcheck([](const auto& in) { return flatten(in[0]); }, {wide_input()});
}

TEST(GradCheck, narrow) {
  gradcheck([](const auto& in) { return narrow(in[0], 1, 1, 2); }, {wide_input()});
}

TEST(GradCheck, concat) {
  const Tensor y = random_tensor({2, 1, 2, 2}, DType::F64, 2);
  gradcheck([](const auto& in) { return concat({in[0], in[1], in[0]}, 1); }, {wide_input(), y});
  gradcheck([](const auto& in) { return stack({in[0], in[0]}, 2); }, {y});
}

TEST(GradCheck, split) {
  gradcheck([](const auto& in) { return split(in[0], {1, 2}, 1)[1]; }, {wide_input()});
}

TEST(GradCheck, permute) {
  gradcheck([](const auto& in) { return permute(in[0], {3, 1, 0, 2}); }, {wide_input()});
  gradcheck([](const auto& in) { return transpose(in[0]); }, {wide_input()});
}

TEST(GradCheck, gather_rows) {
  const Tensor index = Tensor::from_data(std::span<const int64_t>(std::vector<int64_t>{1, 0, 1}), {3});
  gradcheck([&](const auto& in) { return gather_rows(in[0], index); }, {wide_input()});
}

}  // namespace
}  // namespace tern
