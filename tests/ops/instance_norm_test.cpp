// Instance normalisation: the f64 loops against finite differences and numbers worked out by hand, the fast
// path on every instruction set against the f64 loops.

#include "tern/ops/instance_norm.h"

#include <cmath>

#include "tern/core/autograd.h"
#include "tern/ops/batch_norm.h"
#include "tern/ops/creation.h"
#include "tern/ops/shape_ops.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using namespace tern::test;

struct Results {
  Tensor y, dx, dgamma, dbeta;
};

// One forward and backward pass in the given element type, on the same numbers: f32 or bf16.
Results run(DType dtype, const Tensor& x, const Tensor& dy) {
  const DType parameters = dtype == DType::F64 ? DType::F64 : DType::F32;
  const auto parameter = [&](uint64_t seed) {
    return random_tensor({x.size(-1)}, DType::F32, seed).to(parameters).clone().set_requires_grad();
  };
  const Tensor in = x.to(dtype).clone().set_requires_grad(), gamma = parameter(2), beta = parameter(3);
  const Tensor y = instance_norm(in, gamma, beta);
  y.backward(dy.to(dtype));
  return {y, in.grad(), gamma.grad(), beta.grad()};
}

void expect_agreement(const Results& fast, const Results& exact, double tolerance, double of_parameters) {
  expect_close(fast.y, exact.y, tolerance);
  expect_close(fast.dx, exact.dx, tolerance);
  expect_close(fast.dgamma, exact.dgamma, of_parameters);
  expect_close(fast.dbeta, exact.dbeta, of_parameters);
}

// Few channels and many, whole vectors and not, one image and several, images of one row or column.
const std::vector<Shape> kShapes = {{1, 2, 3, 1},   {2, 3, 3, 2},    {3, 5, 7, 3},   {1, 9, 9, 5},
                                    {5, 1, 13, 8},  {2, 31, 1, 16},  {4, 7, 7, 17},  {2, 4, 4, 64},
                                    {3, 6, 5, 100}, {1, 33, 31, 12}, {2, 3, 4, 515}, {7, 8, 8, 33}};

TEST(InstanceNorm, EveryIsaAgreesWithTheF64Loops) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(to_string(shape));
    const Tensor x = random_tensor(shape, DType::F32, 11), dy = random_tensor(shape, DType::F32, 12);
    const Results exact = run(DType::F64, x, dy);
    for_each_isa([&](cpu::Isa isa) {
      SCOPED_TRACE(to_string(isa));
      expect_agreement(run(DType::F32, x, dy), exact, 4e-6, 4e-6);
    });
  }
}

TEST(InstanceNorm, Bf16ActivationsAgreeWithF64OnTheRoundedNumbers) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(to_string(shape));
    const Tensor x = random_tensor(shape, DType::F32, 11).to(DType::BF16);
    const Tensor dy = random_tensor(shape, DType::F32, 12).to(DType::BF16);
    const Results exact = run(DType::F64, x, dy);
    for_each_isa([&](cpu::Isa) { expect_agreement(run(DType::BF16, x, dy), exact, 0x1p-8, 4e-6); });
  }
}

TEST(InstanceNorm, ReferenceIsaAgreesWithF64) {
  const cpu::Isa before = cpu::active_isa();
  cpu::set_isa(cpu::Isa::Reference);
  const Tensor x = random_tensor({3, 4, 5, 7}), dy = random_tensor({3, 4, 5, 7}, DType::F32, 2);
  expect_agreement(run(DType::F32, x, dy), run(DType::F64, x, dy), 1e-6, 1e-6);
  cpu::set_isa(before);
}

// Two channels of two images of two positions: 1 3 and 10 10, then 0 8 and -1 1.
TEST(InstanceNorm, NumbersByHand) {
  const Tensor x = Tensor::from_data(std::vector<float>{1, 10, 3, 10, 0, -1, 8, 1}, {2, 1, 2, 2});
  const Tensor gamma = Tensor::from_data(std::vector<float>{2, 1}, {2});
  const Tensor beta = Tensor::from_data(std::vector<float>{0, 5}, {2});
  const std::vector<double> expected = {-2, 5, 2, 5, -2, 4, 2, 6};
  const auto y = instance_norm(x, gamma, beta, {.eps = 0x1p-40}).to_vector();
  for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], expected[i], 1e-6) << i;
  const auto plain = instance_norm(x, {}, {}, {.eps = 3}).to_vector();  // variances 1, 0, 16, 1
  EXPECT_NEAR(plain[0], -0.5, 1e-6);
  EXPECT_NEAR(plain[1], 0, 1e-6);
  EXPECT_NEAR(plain[4], -4 / std::sqrt(19), 1e-6);
  EXPECT_NEAR(plain[7], 0.5, 1e-6);
}

TEST(InstanceNorm, AnImageDoesNotFeelTheOthers) {
  const Tensor x = random_tensor({3, 6, 6, 20});
  const Tensor all = instance_norm(x);
  for (int64_t n = 0; n < 3; ++n) {
    const Tensor one = slice(x, n, n + 1);
    expect_equal_bits(slice(all, n, n + 1), instance_norm(one));
    expect_close(slice(all, n, n + 1), batch_norm({.x = one}), 1e-6);
  }
}

TEST(InstanceNorm, MeanThousandAndDeviationOne) {
  for_each_isa([](cpu::Isa) {
    Tensor x = random_tensor({2, 20, 20, 3});
    for (int64_t i = 0; i < x.numel(); ++i) x.mutable_data<float>()[i] += 1000.0f;
    const Tensor dy = random_tensor(x.shape(), DType::F32, 5);
    expect_agreement(run(DType::F32, x, dy), run(DType::F64, x, dy), 4e-6, 4e-6);
  });
}

TEST(InstanceNorm, OnePositionGivesBetaAndNoGradient) {
  for (const DType dtype : {DType::F32, DType::BF16, DType::F64}) {
    const Tensor x = random_tensor({3, 1, 1, 5}), dy = random_tensor({3, 1, 1, 5}, DType::F32, 2);
    const Results r = run(dtype, x, dy);
    const Tensor beta = random_tensor({5}, DType::F32, 3);
    for (int64_t n = 0; n < 3; ++n)
      expect_close(reshape(slice(r.y, n, n + 1), {5}), beta, dtype == DType::BF16 ? 0x1p-8 : 1e-7);
    for (const double d : r.dx.to_vector()) EXPECT_EQ(d, 0);
    for (const double d : r.dgamma.to_vector()) EXPECT_EQ(d, 0);
    const auto dbeta = r.dbeta.to_vector();
    const auto g = dy.to(dtype).to_vector();
    for (size_t c = 0; c < 5; ++c) EXPECT_NEAR(dbeta[c], g[c] + g[5 + c] + g[10 + c], 1e-6);
  }
}

TEST(InstanceNorm, EmptyTensors) {
  for (const Shape& shape : {Shape{0, 2, 2, 3}, Shape{2, 0, 2, 3}, Shape{2, 2, 2, 0}}) {
    const Tensor x = Tensor::empty(shape);
    const Results r = run(DType::F32, x, Tensor::empty(shape));
    EXPECT_EQ(r.y.shape(), shape);
    EXPECT_EQ(r.dx.shape(), shape);
    EXPECT_EQ(r.dgamma.shape(), Shape{shape[3]});
    for (const Tensor& t : {r.dgamma, r.dbeta})
      for (const double d : t.to_vector()) EXPECT_EQ(d, 0);
  }
}

TEST(InstanceNorm, SameBitsForAnyNumberOfThreads) {
  for (const Shape& shape : {Shape{7, 9, 9, 24}, Shape{1, 90, 90, 5}, Shape{2, 40, 40, 64}}) {
    const Tensor x = random_tensor(shape), dy = random_tensor(shape, DType::F32, 2);
    Results first;
    for_each_thread_count([&](int threads) {
      const Results r = run(DType::F32, x, dy);
      if (threads == 1) first = r;
      expect_equal_bits(r.y, first.y);
      expect_equal_bits(r.dx, first.dx);
      expect_equal_bits(r.dgamma, first.dgamma);
      expect_equal_bits(r.dbeta, first.dbeta);
    });
  }
}

TEST(InstanceNorm, TheCallersGradientStaysAsItIs) {
  Tensor x = random_tensor({2, 3, 3, 5}).set_requires_grad();
  const Tensor dy = random_tensor(x.shape(), DType::F32, 3), before = dy.clone();
  instance_norm(x).backward(dy);
  expect_equal_bits(dy, before);
}

TEST(GradCheck, instance_norm) {
  const Tensor x = random_tensor({2, 2, 3, 3}, DType::F64, 11), gamma = random_tensor({3}, DType::F64, 12),
               beta = random_tensor({3}, DType::F64, 13);
  gradcheck([](const std::vector<Tensor>& in) { return instance_norm(in[0], in[1], in[2]); },
            {x, gamma, beta});
  gradcheck([](const std::vector<Tensor>& in) { return instance_norm(in[0], {}, in[1], {.eps = 0.1}); },
            {x, beta});
  gradcheck([](const std::vector<Tensor>& in) { return instance_norm(in[0], in[1]); }, {x, gamma});
  gradcheck([](const std::vector<Tensor>& in) { return instance_norm(in[0]); }, {x});
}

TEST(InstanceNorm, ErrorsNameTheSizes) {
  const Tensor x = zeros({2, 3, 3, 4}), c = ones({4});
  expect_error<ShapeError>([&] { instance_norm(zeros({3, 4})); }, {"instance_norm", "[N,H,W,C]", "[3,4]"});
  expect_error<ShapeError>([&] { instance_norm(x, ones({3})); }, {"gamma", "[4]", "[3]"});
  expect_error<ShapeError>([&] { instance_norm(x, c, ones({5})); }, {"beta", "[4]", "[5]"});
  expect_error<DTypeError>([&] { instance_norm(x, c.to(DType::F64)); }, {"gamma", "f64", "f32"});
  expect_error<DTypeError>([&] { instance_norm(random_ints({1, 2, 2, 3}, DType::I64, 1, 0, 4)); }, {"i64"});
  expect_error<UsageError>([&] { instance_norm(x, {}, {}, {.eps = -1}); }, {"eps", "-1"});
  expect_error<UsageError>([&] { instance_norm({}); }, {"undefined"});
}

}  // namespace
}  // namespace tern
