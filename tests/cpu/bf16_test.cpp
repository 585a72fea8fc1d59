// bf16 as an element type: conversion on every instruction set against the definition of rounding.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tern/core/autograd.h"
#include "tern/core/philox.h"
#include "tern/ops/creation.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using namespace test;

float value_of(uint32_t upper_half) {
  const uint32_t bits = upper_half << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

std::vector<uint16_t> narrowed(const std::vector<float>& values) {
  const Tensor x = Tensor::from_data(std::span<const float>(values), {static_cast<int64_t>(values.size())});
  const Tensor y = x.to(DType::BF16);
  std::vector<uint16_t> bits(values.size());
  std::memcpy(bits.data(), y.raw_data(), bits.size() * 2);
  return bits;
}

TEST(Bf16, EveryPatternWidensToItsValueAndBack) {
  constexpr int64_t kPatterns = 65536;
  const Tensor x = Tensor::empty({kPatterns}, {.dtype = DType::BF16});
  for (int64_t i = 0; i < kPatterns; ++i) x.mutable_data<bfloat16>()[i].bits = static_cast<uint16_t>(i);
  for_each_isa([&](cpu::Isa isa) {
    const Tensor wide = x.to(DType::F32), back = wide.to(DType::BF16);
    for (int64_t i = 0; i < kPatterns; ++i) {
      const float value = value_of(static_cast<uint32_t>(i)), got = wide.data<float>()[i];
      ASSERT_TRUE(std::memcmp(&value, &got, sizeof value) == 0) << i << " on " << cpu::to_string(isa);
      const int64_t quiet = std::isnan(value) ? i | 0x40 : i;
      ASSERT_EQ(back.data<bfloat16>()[i].bits, quiet) << i << " on " << cpu::to_string(isa);
    }
  });
}

// Halfway between two neighbours lies the tie, which goes to the even one; one step beside it decides.
TEST(Bf16, RoundsToTheNearestAndTiesToEven) {
  std::vector<float> values;
  std::vector<uint16_t> expected;
  for (const uint32_t sign : {0u, 0x8000u}) {
    for (uint32_t low = 0; low < 0x7f80; ++low) {
      const uint32_t p = sign | low;
      const double next = low == 0x7f7f ? std::copysign(std::ldexp(1.0, 128), value_of(p)) : value_of(p + 1);
      const auto middle = static_cast<float>((value_of(p) + next) / 2);
      const float away = std::copysign(std::numeric_limits<float>::infinity(), middle);
      for (const auto& [value, bits] :
           {std::pair{middle, p % 2 == 0 ? p : p + 1}, std::pair{std::nextafter(middle, away), p + 1},
            std::pair{std::nextafter(middle, 0.0f), p}}) {
        values.push_back(value);
        expected.push_back(static_cast<uint16_t>(bits));
      }
    }
  }
  for_each_isa([&](cpu::Isa isa) { EXPECT_EQ(narrowed(values), expected) << cpu::to_string(isa); });
  for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(bfloat16(values[i]).bits, expected[i]);
}

TEST(Bf16, NanStaysNanAndIsMadeQuiet) {
  std::vector<float> values;
  for (const uint32_t bits : {0x7f800001u, 0x7fffffffu, 0xff80ffffu, 0x7fc00000u, 0xffbfffffu}) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    values.insert(values.end(), 7, value);
  }
  for_each_isa([&](cpu::Isa isa) {
    for (const uint16_t bits : narrowed(values)) EXPECT_GT(bits & 0x7fff, 0x7fbf) << cpu::to_string(isa);
  });
}

TEST(Bf16, EveryLengthIsConvertedWhole) {
  for_each_isa([&](cpu::Isa isa) {
    for (int64_t n = 0; n < 70; ++n) {
      const Tensor x = random_tensor({n}, DType::F32, static_cast<uint64_t>(n));
      const Tensor y = x.to(DType::BF16).to(DType::F32);
      for (int64_t i = 0; i < n; ++i)
        ASSERT_EQ(y.data<float>()[i], static_cast<float>(bfloat16(x.data<float>()[i])))
            << n << " on " << cpu::to_string(isa);
    }
  });
}

TEST(Bf16, GradientsOfACastTakeTheTypeOfItsInput) {
  Tensor x = random_tensor({5, 3});
  x.set_requires_grad(true);
  const Tensor y = x.to(DType::BF16);
  const Tensor dy = random_tensor({5, 3}, DType::F32, 2).to(DType::BF16);
  y.backward(dy);
  EXPECT_EQ(x.grad().dtype(), DType::F32);
  expect_equal_bits(x.grad(), dy.to(DType::F32));
}

TEST(Bf16, CreatedFilledAndPrinted) {
  const Tensor x = tensor({1, 0.5, -3}, {.dtype = DType::BF16});
  EXPECT_EQ(to_string(x), "Tensor(bf16 [3] on cpu)\n[1, 0.5, -3]");
  EXPECT_EQ(zeros({4}, {.dtype = DType::BF16}).to_vector(), std::vector<double>(4, 0.0));
  Tensor y = Tensor::empty({2}, {.dtype = DType::BF16});
  y.fill(1.0 / 3);
  EXPECT_EQ(y.to_vector()[0], 0.333984375);
}

TEST(Bf16, FiniteCheckSeesInfinityAndNan) {
  const FiniteCheckGuard guard;
  const Tensor fine = tensor({1, -3e38}, {.dtype = DType::BF16});
  EXPECT_NO_THROW(detail::check_finite("op", fine));
  const Tensor over = tensor({1, 3.4e38}, {.dtype = DType::BF16});
  expect_error<NumericError>([&] { detail::check_finite("op", over); }, {"op"});
}

}  // namespace
}  // namespace tern
