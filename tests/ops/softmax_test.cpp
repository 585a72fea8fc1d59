#include "tern/ops/softmax.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/gradcheck.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using test::random_tensor;
using Inputs = std::vector<Tensor>;

// log of the sum of e^x over one row, in long double.
double log_sum_exp(const float* x, int64_t C) {
  long double m = x[0], s = 0;
  for (int64_t c = 0; c < C; ++c) m = std::fmax(m, static_cast<long double>(x[c]));
  for (int64_t c = 0; c < C; ++c) s += std::exp(static_cast<long double>(x[c]) - m);
  return static_cast<double>(m + std::log(s));
}

TEST(GradCheck, softmax) {
  test::gradcheck([](const Inputs& x) { return softmax(x[0]); }, {random_tensor({2, 3, 5}, DType::F64)});
}
TEST(GradCheck, log_softmax) {
  test::gradcheck([](const Inputs& x) { return log_softmax(x[0]); }, {random_tensor({3, 6}, DType::F64)});
}

TEST(Softmax, AgreesWithLongDouble) {
  test::for_each_isa([](cpu::Isa) {
    for (const int64_t C : {1, 2, 3, 7, 8, 15, 16, 17, 33, 100, 1003}) {
      const Tensor x = random_tensor({5, C});
      std::vector<double> p, log_p;
      for (int64_t row = 0; row < 5; ++row) {
        const float* values = x.data<float>() + row * C;
        const double total = log_sum_exp(values, C);
        for (int64_t c = 0; c < C; ++c) {
          log_p.push_back(static_cast<double>(values[c]) - total);
          p.push_back(std::exp(log_p.back()));
        }
      }
      test::expect_close(softmax(x), Tensor::from_data(p, {5, C}), 1e-6);
      test::expect_close(log_softmax(x), Tensor::from_data(log_p, {5, C}), 1e-6);
    }
  });
}

TEST(Softmax, LargeLogitsDoNotOverflow) {
  const float inf = std::numeric_limits<float>::infinity();
  test::for_each_isa([&](cpu::Isa) {
    const Tensor x = Tensor::from_data(std::vector<float>{1e30f, 1e30f, -1e30f, 0, -inf, 0}, {2, 3});
    EXPECT_EQ(softmax(x).to_vector(), (std::vector<double>{0.5, 0.5, 0, 0.5, 0, 0.5}));
    EXPECT_NEAR(log_softmax(x).to_vector()[0], -std::log(2.0), 1e-6);
    const Tensor bad = Tensor::from_data(std::vector<float>{1, std::nanf(""), 0, -inf, -inf, -inf}, {2, 3});
    for (const double v : softmax(bad).to_vector()) EXPECT_TRUE(std::isnan(v));
    for (const double v : log_softmax(bad).to_vector()) EXPECT_TRUE(std::isnan(v));
  });
}

TEST(Softmax, GradientsInF32AgreeWithF64) {
  const Tensor x64 = random_tensor({6, 37}, DType::F64), dy64 = random_tensor({6, 37}, DType::F64, 2);
  for (const auto f : {softmax, log_softmax}) {
    Tensor wide = x64.clone();
    wide.set_requires_grad();
    f(wide).backward(dy64);
    test::for_each_isa([&](cpu::Isa) {
      Tensor x = x64.to(DType::F32).detach();
      x.set_requires_grad();
      f(x).backward(dy64.to(DType::F32));
      test::expect_close(x.grad(), wide.grad(), 2e-6);
    });
  }
}

TEST(Softmax, SameBitsForAnyNumberOfThreads) {
  const Tensor x = random_tensor({300, 129}), y = softmax(x);
  test::for_each_thread_count([&](int) { test::expect_equal_bits(softmax(x), y); });
}

TEST(Softmax, RefusesWhatItCannotDo) {
  test::expect_error<ShapeError>([] { softmax(random_tensor({3, 0})); }, {"softmax", "[3,0]"});
  test::expect_error<ShapeError>([] { log_softmax(random_tensor({})); }, {"log_softmax", "[]"});
  test::expect_error<DTypeError>(
      [] {
        softmax(test::random_ints({3, 2}, DType::I64, 1, 0, 4));
      },
      {"softmax", "i64"});
}

}  // namespace
}  // namespace tern
