#include "tern/ops/compare.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/gradcheck.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using test::random_ints;
using test::random_tensor;
using Bits = std::vector<double>;

TEST(Compare, EveryRelationAndNaN) {
  const float nan = std::nanf("");
  const Tensor a = Tensor::from_data(std::vector<float>{1, 2, 3, nan, nan}, {5});
  const Tensor b = Tensor::from_data(std::vector<float>{2, 2, 2, 2, nan}, {5});
  EXPECT_EQ(eq(a, b).to_vector(), (Bits{0, 1, 0, 0, 0}));
  EXPECT_EQ(ne(a, b).to_vector(), (Bits{1, 0, 1, 1, 1}));
  EXPECT_EQ(lt(a, b).to_vector(), (Bits{1, 0, 0, 0, 0}));
  EXPECT_EQ(le(a, b).to_vector(), (Bits{1, 1, 0, 0, 0}));
  EXPECT_EQ(gt(a, b).to_vector(), (Bits{0, 0, 1, 0, 0}));
  EXPECT_EQ(ge(a, b).to_vector(), (Bits{0, 1, 1, 0, 0}));
  EXPECT_EQ(gt(a, 1.5).to_vector(), (Bits{0, 1, 1, 0, 0}));
  EXPECT_EQ(eq(a, b).dtype(), DType::Bool);
}

TEST(Compare, BroadcastsLabelsAgainstThemselves) {
  const Tensor column = random_ints({7, 1}, DType::I64, 1, 0, 3), row = random_ints({5}, DType::I64, 2, 0, 3);
  const Tensor y = eq(column, row);
  ASSERT_EQ(y.shape(), Shape({7, 5}));
  for (int64_t i = 0; i < 35; ++i)
    EXPECT_EQ(y.data<bool>()[i], column.data<int64_t>()[i / 5] == row.data<int64_t>()[i % 5]);
}

TEST(Compare, EveryElementType) {
  for (const DType dtype : {DType::F32, DType::F64, DType::I64, DType::I32, DType::U8}) {
    const Tensor a = Tensor::from_data(std::vector<float>{1, 2, 3}, {3}).to(dtype);
    EXPECT_EQ(ge(a, 2).to_vector(), (Bits{0, 1, 1})) << to_string(dtype);
  }
  test::expect_error<DTypeError>([] { eq(random_tensor({2}), random_ints({2}, DType::I64, 1, 0, 3)); },
                                 {"i64"});
  test::expect_error<ShapeError>([] { eq(random_tensor({2}), random_tensor({3})); }, {"[2]", "[3]"});
}

TEST(Where, ChoosesAndBroadcasts) {
  const Tensor a = random_tensor({4, 3}), b = random_tensor({3}, DType::F32, 2),
               c = gt(random_tensor({4, 1}), 0);
  const Tensor y = where(c, a, b);
  for (int64_t i = 0; i < 12; ++i)
    EXPECT_EQ(y.data<float>()[i], c.data<bool>()[i / 3] ? a.data<float>()[i] : b.data<float>()[i % 3]);
  test::expect_error<DTypeError>([&] { where(a, a, a); }, {"where", "bool"});
}

TEST(GradCheck, where) {
  const Tensor c = gt(random_tensor({4, 1}), 0);
  test::gradcheck([&](const std::vector<Tensor>& x) { return where(c, x[0], x[1]); },
                  {random_tensor({4, 3}, DType::F64), random_tensor({3}, DType::F64, 2)});
}

TEST(GradCheck, broadcast_to) {
  test::gradcheck(
      [](const std::vector<Tensor>& x) {
        return broadcast_to(x[0], {2, 4, 3});
      },
      {random_tensor({4, 1}, DType::F64)});
}

}  // namespace
}  // namespace tern
