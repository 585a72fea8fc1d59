#include "tern/ops/matmul.h"

#include <vector>

#include "tern/core/autograd.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using namespace test;

constexpr MatmulOptions kForms[] = {{false, false}, {true, false}, {false, true}, {true, true}};

Shape a_shape(int64_t m, int64_t k, MatmulOptions o) { return o.transpose_a ? Shape{k, m} : Shape{m, k}; }
Shape b_shape(int64_t k, int64_t n, MatmulOptions o) { return o.transpose_b ? Shape{n, k} : Shape{k, n}; }

TEST(Matmul, HandComputed) {
  const Tensor a = Tensor::from_data(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3});
  const Tensor b = Tensor::from_data(std::vector<float>{1, 0, 2, 1, 0, 3}, {3, 2});
  EXPECT_EQ(matmul(a, b).to_vector(), (std::vector<double>{5, 11, 14, 23}));
  EXPECT_EQ(matmul(a, a, {.transpose_b = true}).to_vector(), (std::vector<double>{14, 32, 32, 77}));
  EXPECT_EQ(matmul(b, b, {.transpose_a = true}).to_vector(), (std::vector<double>{5, 2, 2, 10}));
}

TEST(Matmul, AgreesWithDoubleInEveryFormOnEveryInstructionSet) {
  for (const MatmulOptions form : kForms)
    for (const int64_t k : {int64_t{1}, int64_t{19}, int64_t{600}}) {
      const Tensor a = random_tensor(a_shape(17, k, form), DType::F32, 1);
      const Tensor b = random_tensor(b_shape(k, 35, form), DType::F32, 2);
      const Tensor exact = matmul(a.to(DType::F64), b.to(DType::F64), form);
      for_each_isa([&](cpu::Isa) { expect_close(matmul(a, b, form), exact, 1e-5); });
    }
}

TEST(Matmul, EmptySides) {
  EXPECT_EQ(matmul(random_tensor({0, 3}), random_tensor({3, 2})).shape(), (Shape{0, 2}));
  EXPECT_EQ(matmul(random_tensor({2, 0}), random_tensor({0, 2})).to_vector(),
            (std::vector<double>{0, 0, 0, 0}));
}

TEST(Matmul, ErrorsNameTheSizes) {
  expect_error<ShapeError>(
      [] {
        matmul(random_tensor({2, 3}), random_tensor({4, 2}));
      },
      {"3 and 4", "[2,3]", "[4,2]"});
  expect_error<ShapeError>(
      [] {
        matmul(random_tensor({2, 3, 1}), random_tensor({3, 2}));
      },
      {"matrices", "[2,3,1]"});
  expect_error<DTypeError>(
      [] {
        matmul(random_tensor({2, 3}), random_tensor({3, 2}, DType::F64));
      },
      {"f32", "f64"});
}

TEST(GradCheck, matmul) {
  for (const MatmulOptions form : kForms)
    gradcheck([&](const std::vector<Tensor>& in) { return matmul(in[0], in[1], form); },
              {random_tensor(a_shape(3, 4, form), DType::F64, 1),
               random_tensor(b_shape(4, 2, form), DType::F64, 2)});
}

}  // namespace
}  // namespace tern
