#include "tern/ops/pointwise.h"

#include <gtest/gtest.h>

#include "tests/support/gradcheck.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using test::gradcheck;
using test::random_tensor;
using Inputs = std::vector<Tensor>;

TEST(GradCheck, add_broadcast) {
  gradcheck([](const Inputs& x) { return add(x[0], x[1]); },
            {random_tensor({2, 3, 4}, DType::F64, 1), random_tensor({3, 1}, DType::F64, 2)});
}
TEST(GradCheck, mul_broadcast) {
  gradcheck([](const Inputs& x) { return mul(x[0], x[1]); },
            {random_tensor({2, 1, 4}, DType::F64, 1), random_tensor({3, 1}, DType::F64, 2)});
}
TEST(GradCheck, relu) {
  gradcheck([](const Inputs& x) { return relu(x[0]); }, {random_tensor({2, 7}, DType::F64, 1)});
}

TEST(Pointwise, AddInPlace) {
  test::for_each_isa([](cpu::Isa) {
    Tensor a = random_tensor({1003}), b = random_tensor({1003}, DType::F32, 2);
    Tensor y = add(a, b);
    cpu::add_in_place(a, b);
    test::expect_equal_bits(a, y);
  });
}

}  // namespace
}  // namespace tern
