#include "tern/ops/linear.h"

#include <vector>

#include "tern/core/autograd.h"
#include "tern/ops/reduce.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using namespace test;

TEST(Linear, HandComputed) {
  const Tensor x = Tensor::from_data(std::vector<float>{1, 2, 3, 4}, {2, 2});
  const Tensor w = Tensor::from_data(std::vector<float>{1, 0, 0, 1, 1, -1}, {3, 2});
  const Tensor b = Tensor::from_data(std::vector<float>{10, 20, 30}, {3});
  EXPECT_EQ(linear(x, w).to_vector(), (std::vector<double>{1, 2, -1, 3, 4, -1}));
  EXPECT_EQ(linear(x, w, b).to_vector(), (std::vector<double>{11, 22, 29, 13, 24, 29}));
}

TEST(Linear, EveryPassAgreesWithDoubleOnEveryInstructionSet) {
  for (const int64_t rows : {int64_t{1}, int64_t{5}, int64_t{64}}) {
    const Tensor x = random_tensor({rows, 70}, DType::F32, 1), w = random_tensor({33, 70}, DType::F32, 2);
    const Tensor b = random_tensor({33}, DType::F32, 3), dy = random_tensor({rows, 33}, DType::F32, 4);
    const auto f64 = [](const Tensor& t) { return t.to(DType::F64); };
    for_each_isa([&](cpu::Isa) {
      expect_close(linear(x, w, b), linear(f64(x), f64(w), f64(b)), 1e-6);
      expect_close(linear_backward_data(dy, w), linear_backward_data(f64(dy), f64(w)), 1e-6);
      expect_close(linear_backward_weight(dy, x), linear_backward_weight(f64(dy), f64(x)), 1e-6);
      expect_close(linear_backward_bias(dy), linear_backward_bias(f64(dy)), 1e-6);
    });
  }
}

TEST(Linear, KeepsLeadingAxes) {
  EXPECT_EQ(linear(random_tensor({2, 3, 4}), random_tensor({5, 4})).shape(), (Shape{2, 3, 5}));
  EXPECT_EQ(linear(random_tensor({4}), random_tensor({5, 4})).shape(), (Shape{5}));
}

TEST(Linear, EmptyBatchGivesZeroGradients) {
  Tensor w = random_tensor({3, 4}), b = random_tensor({3});
  w.set_requires_grad(), b.set_requires_grad();
  sum(linear(Tensor::empty({0, 4}), w, b)).backward();
  for (const double v : w.grad().to_vector()) EXPECT_EQ(v, 0);
  for (const double v : b.grad().to_vector()) EXPECT_EQ(v, 0);
}

TEST(Linear, SameBitsForAnyThreadCount) {
  const Tensor x = random_tensor({64, 700}), w = random_tensor({100, 700}), dy = random_tensor({64, 100});
  std::vector<Tensor> first;
  for_each_thread_count([&](int threads) {
    const std::vector<Tensor> now{linear(x, w), linear_backward_data(dy, w), linear_backward_weight(dy, x)};
    if (threads == 1) first = now;
    for (size_t i = 0; i < now.size(); ++i) expect_equal_bits(now[i], first[i]);
  });
}

TEST(Linear, ErrorsNameTheSizesAndTheRemedy) {
  const Tensor w = random_tensor({5, 4});
  expect_error<ShapeError>(
      [&] {
        linear(random_tensor({2, 3}), w);
      },
      {"3 features", "expects 4", "[2,3]", "hint"});
  expect_error<ShapeError>(
      [&] {
        linear(random_tensor({2, 4}), w, random_tensor({4}));
      },
      {"bias must be [5]"});
  expect_error<DTypeError>([&] { linear(random_tensor({2, 4}, DType::F64), w); }, {"f64", "f32"});
}

TEST(Linear, PackedWeightIsRemadeWhenTheWeightChanges) {
  const NoGradGuard guard;
  const Tensor x = random_tensor({3, 40}, DType::F32, 1), other = random_tensor({20, 40}, DType::F32, 3);
  Tensor w = random_tensor({20, 40}, DType::F32, 2);
  const Tensor before = linear(x, w);
  expect_equal_bits(linear(x, w), before);
  w.copy_from(other);
  expect_equal_bits(linear(x, w), linear(x, other));
}

TEST(GradCheck, linear) {
  gradcheck([](const std::vector<Tensor>& in) { return linear(in[0], in[1], in[2]); },
            {random_tensor({2, 2, 3}, DType::F64, 1), random_tensor({4, 3}, DType::F64, 2),
             random_tensor({4}, DType::F64, 3)});
}

}  // namespace
}  // namespace tern
