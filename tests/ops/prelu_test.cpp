// PReLU's one-pass kernels: values and dx have the bits of the formula, the slopes' sums agree with f64 loops
// written here, over channel counts that fold, fill and overflow a block of columns.

#include "tern/ops/prelu.h"

#include <cmath>
#include <limits>

#include "tern/ops/creation.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using namespace test;

struct Results {
  Tensor y, dx, dw;
};

Results run(const Tensor& x, const Tensor& w, const Tensor& dy) {
  Tensor in = x.clone().set_requires_grad(), slope = w.clone().set_requires_grad();
  const Tensor y = prelu(in, slope);
  y.backward(dy);
  return {y.detach(), in.grad(), slope.grad()};
}

// The definition, in f32 for what has the same bits everywhere and in f64 for the sums.
struct Expected {
  Expected(const Tensor& x, const Tensor& w, const Tensor& dy)
      : y(Tensor::empty(x.shape())), dx(Tensor::empty(x.shape())), dw(w.numel()), size(w.numel()) {
    const auto in = x.to_vector(), slope = w.to_vector(), gradient = dy.to_vector();
    for (size_t i = 0; i < in.size(); ++i) {
      const size_t c = i % slope.size();
      const float a = static_cast<float>(in[i]), s = static_cast<float>(slope[c]);
      const float d = static_cast<float>(gradient[i]);
      y.mutable_data<float>()[i] = a > 0 ? a : s * a;
      dx.mutable_data<float>()[i] = a > 0 ? d : s * d;
      if (a > 0) continue;
      dw[c] += in[i] * gradient[i];
      size[c] += std::abs(in[i] * gradient[i]);
    }
  }
  Tensor y, dx;
  std::vector<double> dw, size;  // size: the sum of the terms' magnitudes
};

void check(const Shape& shape, int64_t slopes, DType dtype) {
  SCOPED_TRACE(concat_text(dtype, " ", shape, ", slopes ", slopes));
  const Tensor x = random_tensor(shape, DType::F32, 1).to(dtype),
               dy = random_tensor(shape, DType::F32, 2).to(dtype), w = random_tensor({slopes}, DType::F32, 3);
  const Expected expected(x, w, dy);
  const double terms = static_cast<double>(x.numel() / slopes);
  for_each_isa([&](cpu::Isa isa) {
    SCOPED_TRACE(to_string(isa));
    const Results r = run(x, w, dy);
    expect_equal_bits(r.y, expected.y.to(dtype));
    expect_equal_bits(r.dx, expected.dx.to(dtype));
    EXPECT_EQ(r.dw.dtype(), DType::F32);
    const auto dw = r.dw.to_vector();
    for (size_t c = 0; c < dw.size(); ++c)
      ASSERT_NEAR(dw[c], expected.dw[c], 4 * terms * 0x1p-24 * expected.size[c]) << "slope " << c;
  });
}

TEST(Prelu, EveryIsaHasTheBitsOfTheFormula) {
  for (const DType dtype : {DType::F32, DType::BF16})
    for (const int64_t channels : {1, 2, 3, 7, 16, 17, 40, 64, 65, 255, 513})
      for (const int64_t rows : {1, 5, 16, 129, 300})
        if (rows * channels < 40000) check({rows, channels}, channels, dtype);
}

TEST(GradCheck, prelu) {
  const auto f = [](const std::vector<Tensor>& in) { return prelu(in[0], in[1]); };
  gradcheck(f, {random_tensor({2, 3, 4, 5}, DType::F64, 3), random_tensor({5}, DType::F64, 4)});
  gradcheck(f, {random_tensor({7, 3}, DType::F64, 5), random_tensor({1}, DType::F64, 6)});
}

TEST(Prelu, OneSlopeForAll) {
  for (const DType dtype : {DType::F32, DType::BF16})
    for (const int64_t numel : {1, 15, 64, 333, 20000}) check(Shape{numel}, 1, dtype);
  check({3, 5, 7, 129}, 1, DType::F32);
}

TEST(Prelu, SlopeGradientIsExactOnSmallIntegers) {
  const Tensor x = random_ints({2000, 19}, DType::F32, 1, -4, 4);
  const Tensor dy = random_ints({2000, 19}, DType::F32, 2, -4, 4);
  const Tensor w = random_ints({19}, DType::F32, 3, -2, 2);
  const Expected expected(x, w, dy);
  for_each_isa([&](cpu::Isa) { EXPECT_EQ(run(x, w, dy).dw.to_vector(), expected.dw); });
}

TEST(Prelu, ThreadsDoNotChangeTheBits) {
  const Tensor x = random_tensor({5000, 24}), dy = random_tensor({5000, 24}, DType::F32, 2);
  const Tensor w = random_tensor({24}, DType::F32, 3);
  const Results first = run(x, w, dy);
  for_each_thread_count([&](int) {
    const Results again = run(x, w, dy);
    expect_equal_bits(again.y, first.y);
    expect_equal_bits(again.dx, first.dx);
    expect_equal_bits(again.dw, first.dw);
  });
}

TEST(Prelu, ReferenceLoopsAgree) {
  const cpu::Isa before = cpu::active_isa();
  cpu::set_isa(cpu::Isa::Reference);
  for (const DType dtype : {DType::F32, DType::BF16}) {
    const Tensor x = random_tensor({40, 9}).to(dtype), dy = random_tensor({40, 9}, DType::F32, 2).to(dtype);
    const Tensor w = random_tensor({9}, DType::F32, 3);
    const Results naive = run(x, w, dy);
    const Expected expected(x, w, dy);
    expect_equal_bits(naive.y, expected.y.to(dtype));
    expect_equal_bits(naive.dx, expected.dx.to(dtype));
    for (size_t c = 0; c < 9; ++c) EXPECT_NEAR(naive.dw.to_vector()[c], expected.dw[c], 1e-6);
  }
  cpu::set_isa(before);
}

TEST(Prelu, NaNPassesAndNothingIsSummedFromAnEmptyTensor) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor x = Tensor::from_data(std::vector<float>{nan, 1.0f, -2.0f, 3.0f}, {2, 2});
  const Results r = run(x, full({2}, 0.5), ones({2, 2}));
  EXPECT_TRUE(std::isnan(r.y.to_vector()[0]) && std::isnan(r.dw.to_vector()[0]));
  EXPECT_EQ(r.dw.to_vector()[1], 0);
  EXPECT_EQ(run(zeros({0, 3}), ones({3}), zeros({0, 3})).dw.to_vector(), std::vector<double>(3, 0.0));
}

// A gradient that somebody else holds is not overwritten.
TEST(Prelu, AHeldGradientStays) {
  const Tensor dy = random_tensor({300, 5}, DType::F32, 2), copy = dy.clone();
  run(random_tensor({300, 5}), random_tensor({5}, DType::F32, 3), dy);
  expect_equal_bits(dy, copy);
}

TEST(Prelu, FrozenSlopeOrInputHasNoGradient) {
  Tensor x = random_tensor({4, 3}).set_requires_grad(), w = random_tensor({3}, DType::F32, 3);
  prelu(x, w).backward(ones({4, 3}));
  EXPECT_TRUE(x.grad().defined());
  x = x.detach();
  w.set_requires_grad();
  prelu(x, w).backward(ones({4, 3}));
  EXPECT_TRUE(w.grad().defined());
}

}  // namespace
}  // namespace tern
