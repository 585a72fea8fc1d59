#include "tern/cpu/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "tern/core/parallel.h"
#include "tern/cpu/isa.h"

namespace tern::cpu {
namespace {

constexpr Isa kAllIsas[] = {Isa::Reference, Isa::Baseline, Isa::Avx2, Isa::Avx512, Isa::Amx};

struct IsaScope {
  explicit IsaScope(Isa isa) : before(active_isa()) { set_isa(isa); }
  ~IsaScope() { set_isa(before); }
  Isa before;
};

struct Case {
  int64_t m, n, k;
  bool transpose_a, transpose_b, bias, accumulate;
  std::vector<float> a, b, c, bias_values;

  GemmProblem problem(std::vector<float>& out) const {
    out = c;
    return {.m = m,
            .n = n,
            .k = k,
            .a = a.data(),
            .transpose_a = transpose_a,
            .b = b.data(),
            .transpose_b = transpose_b,
            .c = out.data(),
            .bias = bias ? bias_values.data() : nullptr,
            .accumulate = accumulate};
  }

  // The sum, and the sum of absolute values, in double.
  void expected(int64_t i, int64_t j, double& sum, double& absolute) const {
    sum = absolute = 0;
    const auto add = [&](double v) { sum += v, absolute += std::abs(v); };
    for (int64_t p = 0; p < k; ++p)
      add(double(transpose_a ? a[p * m + i] : a[i * k + p]) * (transpose_b ? b[j * k + p] : b[p * n + j]));
    if (bias) add(bias_values[j]);
    if (accumulate) add(c[i * n + j]);
  }
};

Case random_case(std::mt19937& rng, bool integers) {
  const auto size = [&](int most) { return static_cast<int64_t>(rng() % (most + 1)); };
  Case t{size(50),
         size(80),
         size(rng() % 8 == 0 ? 1100 : 40),
         rng() % 2 == 0,
         rng() % 2 == 0,
         rng() % 2 == 0,
         rng() % 2 == 0,
         {},
         {},
         {},
         {}};
  std::normal_distribution<float> normal;
  const auto fill = [&](std::vector<float>& v, int64_t n) {
    v.resize(n);
    for (float& x : v) x = integers ? static_cast<float>(static_cast<int>(rng() % 9) - 4) : normal(rng);
  };
  fill(t.a, t.m * t.k);
  fill(t.b, t.k * t.n);
  fill(t.bias_values, t.n);
  fill(t.c, t.m * t.n);
  if (!t.accumulate)
    for (float& x : t.c) x = std::numeric_limits<float>::quiet_NaN();  // every element must be written
  return t;
}

void check_cases(bool integers, unsigned seed) {
  std::mt19937 rng(seed);
  for (int i = 0; i < 60; ++i) {
    const Case t = random_case(rng, integers);
    for (const Isa isa : kAllIsas) {
      if (!isa_available(isa)) continue;
      const IsaScope scope(isa);
      std::vector<float> c;
      gemm(t.problem(c));
      for (int64_t r = 0; r < t.m; ++r)
        for (int64_t j = 0; j < t.n; ++j) {
          double sum, absolute;
          t.expected(r, j, sum, absolute);
          const double bound =
              integers ? 0 : 4 * static_cast<double>(t.k + 2) * std::ldexp(1.0, -24) * absolute;
          ASSERT_LE(std::abs(c[r * t.n + j] - sum), bound)
              << to_string(isa) << " m " << t.m << " n " << t.n << " k " << t.k << " at " << r << "," << j;
        }
    }
  }
}

TEST(Gemm, ExactOnSmallIntegers) { check_cases(true, 1); }
TEST(Gemm, WithinTheRoundingBoundOnRandomMatrices) { check_cases(false, 2); }

TEST(Gemm, SameBitsForAnyThreadCount) {
  std::mt19937 rng(3);
  Case t = random_case(rng, false);
  t.m = 61, t.n = 97, t.k = 700;
  t.a.resize(t.m * t.k), t.b.resize(t.k * t.n), t.c.assign(t.m * t.n, 0.5f), t.bias_values.assign(t.n, 0.1f);
  for (float& x : t.a) x = static_cast<float>(rng()) * 1e-9f;
  for (float& x : t.b) x = static_cast<float>(rng()) * 1e-9f;
  const int before = num_threads();
  std::vector<float> first;
  for (int threads = 1; threads <= 4; ++threads) {
    set_num_threads(threads);
    std::vector<float> c;
    gemm(t.problem(c));
    if (threads == 1) first = c;
    EXPECT_EQ(std::memcmp(first.data(), c.data(), c.size() * sizeof(float)), 0) << threads << " threads";
  }
  set_num_threads(before);
}

TEST(Gemm, LeavesElementsBetweenRowsAlone) {
  const std::vector<float> a(6, 1.0f), b(6, 2.0f);
  std::vector<float> c(2 * 5, -1.0f);
  gemm({.m = 2, .n = 2, .k = 3, .a = a.data(), .b = b.data(), .c = c.data(), .ldc = 5});
  EXPECT_EQ(c, (std::vector<float>{6, 6, -1, -1, -1, 6, 6, -1, -1, -1}));
}

}  // namespace
}  // namespace tern::cpu
