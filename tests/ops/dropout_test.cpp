#include "tern/ops/dropout.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tern/core/philox.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using test::random_tensor;

Tensor filled(double value, int64_t n) {
  return Tensor::from_data(std::vector<float>(static_cast<size_t>(n), static_cast<float>(value)), {n});
}

TEST(GradCheck, dropout) {
  test::gradcheck(
      [](const std::vector<Tensor>& x) { return dropout(x[0], {.p = 0.4, .seed = 5, .step = 9}); },
      {random_tensor({3, 11}, DType::F64)});
}

TEST(Dropout, DrawsTheWordsOfPhilox) {
  const uint64_t step = (uint64_t{3} << 32) + 7;
  const Tensor y = dropout(filled(1, 103), {.p = 0.3, .seed = 11, .step = step});
  const Philox philox{11, RandomStream::Dropout};
  for (int64_t i = 0; i < 103; ++i) {
    const uint32_t word = philox.block(step, static_cast<uint32_t>(i / 4)).value[i % 4];
    EXPECT_EQ(y.data<float>()[i], uniform01(word) >= 0.3f ? static_cast<float>(1 / 0.7) : 0.0f) << i;
  }
}

TEST(Dropout, KeepsTheExpectation) {
  const int64_t n = 100000;
  for (const double p : {0.1, 0.5, 0.9}) {
    const std::vector<double> y = dropout(filled(1, n), {.p = p, .seed = 2}).to_vector();
    double kept = 0;
    for (const double v : y) kept += v != 0;
    EXPECT_NEAR(kept / n, 1 - p, 5 * std::sqrt(p * (1 - p) / n));
  }
}

TEST(Dropout, SeedAndStepDecideAndThreadsDoNot) {
  const Tensor x = random_tensor({50000});
  const DropoutOptions options{.p = 0.5, .seed = 3, .step = 4};
  const Tensor y = dropout(x, options);
  test::for_each_thread_count([&](int) { test::expect_equal_bits(dropout(x, options), y); });
  EXPECT_FALSE(test::equal_bits(dropout(x, {.p = 0.5, .seed = 4, .step = 4}), y));
  EXPECT_FALSE(test::equal_bits(dropout(x, {.p = 0.5, .seed = 3, .step = 5}), y));
}

TEST(Dropout, Ends) {
  const Tensor x = random_tensor({9});
  EXPECT_TRUE(dropout(x, {.p = 0.5, .training = false}).same(x));
  EXPECT_TRUE(dropout(x, {.p = 0}).same(x));
  EXPECT_EQ(dropout(x, {.p = 1}).to_vector(), std::vector<double>(9, 0.0));
  test::expect_error<UsageError>([&] { dropout(x, {.p = 1.5}); }, {"dropout", "1.5"});
  test::expect_error<DTypeError>([] { dropout(test::random_ints({3}, DType::I64, 1, 0, 9), {}); },
                                 {"dropout", "i64"});
}

}  // namespace
}  // namespace tern
