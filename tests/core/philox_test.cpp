#include "tern/core/philox.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tern {
namespace {

// The known-answer vectors published with Random123 (kat_vectors, philox4x32 10 rounds).
TEST(Philox, MatchesThePublishedVectors) {
  const auto expect = [](PhiloxBlock counter, uint32_t k0, uint32_t k1, PhiloxBlock want) {
    const PhiloxBlock got = philox4x32_10(counter, k0, k1);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(got.value[i], want.value[i]) << i;
  };
  expect({{0, 0, 0, 0}}, 0, 0, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}});
  expect({{~0u, ~0u, ~0u, ~0u}}, ~0u, ~0u, {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}});
  expect({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0xa4093822, 0x299f31d0,
         {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}});
}

TEST(Philox, AddressesAreIndependentOfHistory) {
  PhiloxSequence a(7, RandomStream::Shuffle, 3), b(7, RandomStream::Shuffle, 3),
      c(7, RandomStream::Augment, 3);
  for (int i = 0; i < 10; ++i) c.next();
  bool all_equal = true;
  for (int i = 0; i < 16; ++i) {
    const uint32_t x = a.next();
    EXPECT_EQ(x, b.next());
    all_equal = all_equal && x == c.next();
  }
  EXPECT_FALSE(all_equal);
}

TEST(Philox, MomentsOfUniformAndNormal) {
  PhiloxSequence draws(1, RandomStream::Test, 0);
  double sum = 0, square = 0, uniform = 0;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) {
    const double x = draws.normal();
    sum += x;
    square += x * x;
  }
  for (int i = 0; i < kDraws; ++i) uniform += draws.uniform();
  // Five standard errors.
  EXPECT_NEAR(sum / kDraws, 0, 5 / std::sqrt(kDraws));
  EXPECT_NEAR(square / kDraws, 1, 5 * std::sqrt(2.0 / kDraws));
  EXPECT_NEAR(uniform / kDraws, 0.5, 5 * std::sqrt(1.0 / 12 / kDraws));
  for (int i = 0; i < 1000; ++i) EXPECT_LT(draws.below(7), 7u);
}

}  // namespace
}  // namespace tern
