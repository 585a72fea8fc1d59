#include "tern/ops/augment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tern/core/philox.h"
#include "tern/cpu/isa.h"
#include "tern/data/augmentation.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using test::equal_bits;

Tensor random_photos(int64_t n, int64_t h, int64_t w, int64_t c, uint64_t seed = 1) {
  Tensor photos = Tensor::empty({n, h, w, c}, {DType::U8});
  PhiloxSequence random(seed, RandomStream::Test, 0);
  uint8_t* p = photos.mutable_data<uint8_t>();
  for (int64_t i = 0; i < photos.numel(); ++i) p[i] = static_cast<uint8_t>(random.next());
  return photos;
}

// The definition in ops/augment.h, in real numbers.
Tensor real_augment(const Tensor& photos, const std::vector<AugmentRow>& rows, const AugmentOutput& o) {
  const int64_t n = photos.size(0), h = photos.size(1), w = photos.size(2), channels = photos.size(3);
  Tensor y = Tensor::empty({n, o.size, o.size, channels});
  float* out = y.mutable_data<float>();
  for (int64_t i = 0; i < n; ++i) {
    const AugmentRow& r = rows[i];
    const auto pixel = [&](int64_t py, int64_t px, int64_t c) -> double {
      py = std::clamp<int64_t>(py, 0, h - 1), px = std::clamp<int64_t>(px, 0, w - 1);
      return photos.data<uint8_t>()[((i * h + py) * w + px) * channels + c];
    };
    for (int64_t oy = 0; oy < o.size; ++oy)
      for (int64_t ox = 0; ox < o.size; ++ox) {
        const double sx = (double(r[kAugmentM00]) * ox + double(r[kAugmentM01]) * oy + r[kAugmentTx]) / 65536;
        const double sy = (double(r[kAugmentM10]) * ox + double(r[kAugmentM11]) * oy + r[kAugmentTy]) / 65536;
        const auto x = static_cast<int64_t>(std::floor(sx)), yy = static_cast<int64_t>(std::floor(sy));
        const double fx = sx - std::floor(sx), fy = sy - std::floor(sy);
        double v[3];
        for (int64_t c = 0; c < channels; ++c)
          v[c] = (1 - fy) * ((1 - fx) * pixel(yy, x, c) + fx * pixel(yy, x + 1, c)) +
                 fy * ((1 - fx) * pixel(yy + 1, x, c) + fx * pixel(yy + 1, x + 1, c));
        const double grey = (77 * v[0] + 150 * v[1] + 29 * v[2]) / 256;
        const bool erased = ox >= r[kAugmentEraseX0] && ox < r[kAugmentEraseX1] && oy >= r[kAugmentEraseY0] &&
                            oy < r[kAugmentEraseY1];
        for (int64_t c = 0; c < channels; ++c) {
          double value = v[c];
          if (channels == 3)
            value = std::clamp(grey + r[kAugmentSaturation] / 4096.0 * (value - grey), 0.0, 255.0);
          value = std::clamp(r[kAugmentGain] / 4096.0 * value + r[kAugmentBias] / 128.0, 0.0, 255.0);
          if (erased) value = r[kAugmentColour] >> (8 * (channels - 1 - c)) & 255;
          *out++ = static_cast<float>((value / 255 - o.mean[c]) / o.std[c]);
        }
      }
  }
  return y;
}

double largest_difference(const Tensor& a, const Tensor& b) {
  double largest = 0;
  const auto x = a.to_vector(), y = b.to_vector();
  for (size_t i = 0; i < x.size(); ++i) largest = std::max(largest, std::abs(x[i] - y[i]));
  return largest;
}

TEST(Augment, AnIdentityRowIsExact) {
  for (const int64_t channels : {1, 3}) {
    const Tensor photos = random_photos(2, 14, 18, channels);
    const AugmentOutput output{.size = 10, .mean = {0.5f, 0.25f, 0.125f}, .std = {0.3f, 0.7f, 1}};
    const AugmentRow row = identity_augment_row(14, 18, 10);
    const Tensor y = augment(photos, augment_table({row, row}), output);
    ASSERT_EQ(y.shape(), (Shape{2, 10, 10, channels}));
    for (int64_t n = 0, i = 0; n < 2; ++n)
      for (int64_t oy = 0; oy < 10; ++oy)
        for (int64_t ox = 0; ox < 10; ++ox)
          for (int64_t c = 0; c < channels; ++c, ++i) {
            const uint8_t x = photos.data<uint8_t>()[((n * 14 + oy + 2) * 18 + ox + 4) * channels + c];
            ASSERT_EQ(y.data<float>()[i], (static_cast<float>(x) / 255.0f - output.mean[c]) / output.std[c]);
          }
  }
}

TEST(Augment, CropsAndMirrorsWholePixels) {
  const Tensor photos = random_photos(1, 12, 12, 3);
  AugmentRow row = identity_augment_row(12, 12, 8);
  row[kAugmentM00] = -65536;
  row[kAugmentTx] = (1 + 7) * 65536;  // columns 8, 7, ... 1
  row[kAugmentTy] = 3 * 65536;
  const Tensor y = augment(photos, augment_table({row}), {.size = 8, .mean = {0, 0, 0}, .std = {1, 1, 1}});
  for (int64_t oy = 0; oy < 8; ++oy)
    for (int64_t ox = 0; ox < 8; ++ox)
      for (int64_t c = 0; c < 3; ++c)
        ASSERT_EQ(y.data<float>()[(oy * 8 + ox) * 3 + c],
                  photos.data<uint8_t>()[((oy + 3) * 12 + 8 - ox) * 3 + c] / 255.0f);
}

TEST(Augment, DrawnRowsAgreeWithTheDefinitionInRealNumbers) {
  const AugmentOptions options{
      .rotation = 30, .scale = 0.3, .brightness = 0.4, .contrast = 0.5, .saturation = 0.9, .erase = 0.7};
  for (const int64_t channels : {1, 3}) {
    const int64_t n = 12, side = 33 + 2 * 6;
    const Tensor photos = random_photos(n, side, side, channels);
    std::vector<AugmentRow> rows;
    for (int64_t i = 0; i < n; ++i) rows.push_back(draw_augment_row(options, 5, 77, i, side, 33));
    const AugmentOutput output{.size = 33, .mean = {0, 0, 0}, .std = {1, 1, 1}};
    const Tensor y = augment(photos, augment_table(rows), output);
    // 8-bit fractions of a pixel between levels that differ by at most 255, times the largest gain: below 3
    // levels.
    EXPECT_LT(largest_difference(y, real_augment(photos, rows, output)), 3.0 / 255);
  }
}

TEST(Augment, SmoothPhotosAgreeToAFractionOfALevel) {
  const int64_t side = 40;
  Tensor photos = Tensor::empty({1, side, side, 1}, {DType::U8});
  for (int64_t i = 0; i < side * side; ++i)
    photos.mutable_data<uint8_t>()[i] = static_cast<uint8_t>(3 * (i / side) + 2 * (i % side));
  for (int64_t i = 0; i < 20; ++i) {
    const std::vector<AugmentRow> rows = {draw_augment_row({.erase = 0}, 1, i, 0, side, 32)};
    const AugmentOutput output{.size = 32, .mean = {0, 0, 0}, .std = {1, 1, 1}};
    EXPECT_LT(
        largest_difference(augment(photos, augment_table(rows), output), real_augment(photos, rows, output)),
        0.06 / 255);
  }
}

TEST(Augment, EveryInstructionSetAndThreadCountGivesTheReferenceBits) {
  PhiloxSequence random(3, RandomStream::Test, 1);
  for (int round = 0; round < 40; ++round) {
    const int64_t channels = random.below(2) ? 3 : 1, size = 1 + random.below(40);
    const int64_t h = 1 + random.below(50), w = 1 + random.below(50), n = random.below(4);
    const Tensor photos = random_photos(n, h, w, channels, round);
    std::vector<AugmentRow> rows;
    for (int64_t i = 0; i < n; ++i) {
      AugmentRow row = draw_augment_row({.rotation = 90, .erase = 0.5}, 5, round, i, std::max(h, w), size);
      if (random.below(2)) {  // whole pixels, some of them outside
        row = AugmentRow{};
        row[kAugmentM00] = random.below(2) ? 65536 : -65536;
        row[kAugmentM11] = 65536;
        row[kAugmentTx] = (static_cast<int32_t>(random.below(60)) - 20) * 65536;
        row[kAugmentTy] = (static_cast<int32_t>(random.below(60)) - 20) * 65536;
        row[kAugmentGain] = static_cast<int32_t>(random.below(1 << 15));
        row[kAugmentBias] = static_cast<int32_t>(random.below(200000)) - 100000;
        row[kAugmentSaturation] = static_cast<int32_t>(random.below(1 << 14));
      }
      rows.push_back(row);
    }
    const AugmentOutput output{.size = size};
    const cpu::Isa before = cpu::active_isa();
    cpu::set_isa(cpu::Isa::Reference);
    const Tensor expected = augment(photos, augment_table(rows), output);
    cpu::set_isa(before);
    const auto same = [&] { return equal_bits(augment(photos, augment_table(rows), output), expected); };
    test::for_each_isa([&](cpu::Isa) { EXPECT_TRUE(same()) << "round " << round; });
    if (round % 10 == 0) test::for_each_thread_count([&](int) { EXPECT_TRUE(same()) << "round " << round; });
  }
}

TEST(Augment, TheExtremesOfTheTableStayInRange) {
  const Tensor photos = random_photos(1, 20, 20, 3);
  PhiloxSequence random(3, RandomStream::Test, 2);
  for (int round = 0; round < 50; ++round) {
    const auto extreme = [&](int32_t low, int32_t high) { return random.below(2) ? low : high; };
    AugmentRow row{};
    for (const int m : {kAugmentM00, kAugmentM01, kAugmentM10, kAugmentM11})
      row[m] = extreme(-4 << 16, 4 << 16);
    for (const int t : {kAugmentTx, kAugmentTy}) row[t] = extreme(-(1 << 29), 1 << 29);
    row[kAugmentGain] = extreme(0, 8 << 12);
    row[kAugmentBias] = extreme(-1020 * 128, 1020 * 128);
    row[kAugmentSaturation] = extreme(0, 4 << 12);
    row[kAugmentEraseX0] = extreme(INT32_MIN, INT32_MAX);
    row[kAugmentEraseX1] = extreme(INT32_MIN, INT32_MAX);
    row[kAugmentEraseY1] = INT32_MAX;
    const Tensor y = augment(photos, augment_table({row}), {.size = 64, .mean = {0, 0, 0}, .std = {1, 1, 1}});
    for (const double v : y.to_vector()) ASSERT_TRUE(v >= 0 && v <= 1);
  }
}

TEST(Augment, RefusesWhatItCannotDo) {
  const Tensor photos = random_photos(1, 12, 12, 3);
  const AugmentRow good = identity_augment_row(12, 12, 8);
  AugmentRow wild = good;
  wild[kAugmentM00] = 5 << 16;
  test::expect_error<UsageError>([&] { augment(photos, augment_table({wild}), {.size = 8}); },
                                 {"row 0", "m00"});
  test::expect_error<ShapeError>(
      [&] {
        augment(photos, augment_table({good, good}), {.size = 8});
      },
      {"[2,16]"});
  test::expect_error<DTypeError>(
      [&] {
        augment(Tensor::empty({1, 12, 12, 3}), augment_table({good}), {.size = 8});
      },
      {"u8"});
  test::expect_error<UsageError>(
      [&] {
        augment(photos, augment_table({good}), {.size = 8, .std = {1, 0, 1}});
      },
      {"channel 1"});
  test::expect_error<UsageError>([] { identity_augment_row(12, 12, 9); }, {"12x12"});
}

TEST(Augmentation, RowsArePureFunctionsOfSeedStepAndPosition) {
  const AugmentOptions options;
  const AugmentRow row = draw_augment_row(options, 1, 10, 3, 80, 64);
  EXPECT_EQ(row, draw_augment_row(options, 1, 10, 3, 80, 64));
  EXPECT_NE(row, draw_augment_row(options, 2, 10, 3, 80, 64));
  EXPECT_NE(row, draw_augment_row(options, 1, 11, 3, 80, 64));
  EXPECT_NE(row, draw_augment_row(options, 1, 10, 4, 80, 64));
  const Tensor table = draw_augment_table(options, 1, 10, 5, 80, 64);
  for (int c = 0; c < kAugmentColumns; ++c) EXPECT_EQ(table.data<int32_t>()[3 * kAugmentColumns + c], row[c]);
}

TEST(Augmentation, NoneIsTheIdentity) {
  for (int64_t i = 0; i < 20; ++i)
    EXPECT_EQ(draw_augment_row(AugmentOptions::none(), 1, i, i, 70, 64), identity_augment_row(70, 70, 64));
  EXPECT_EQ(augment_margin(AugmentOptions::none(), 64), 0);
}

TEST(Augmentation, ScaledIsStrongerWithinWhatIsAllowed) {
  const AugmentOptions given{.flip = 0.3, .rotation = 10, .erase = 0.4};
  const AugmentOptions twice = given.scaled(2);
  EXPECT_EQ(twice.flip, 0.3);
  EXPECT_EQ(twice.shift, 0.1);
  EXPECT_EQ(twice.rotation, 20);
  EXPECT_EQ(twice.erase, 0.8);
  EXPECT_EQ(twice.erase_side, given.erase_side);
  EXPECT_EQ(given.scaled(1), given);
  EXPECT_NO_THROW(check_augment(given.scaled(1000)));
  EXPECT_EQ(AugmentOptions::none().scaled(3), AugmentOptions::none());
}

TEST(Augmentation, DrawsCoverTheirRanges) {
  const AugmentOptions options{.rotation = 0, .scale = 0};
  int mirrored = 0, erased = 0;
  int32_t shift_low = 1 << 30, shift_high = -(1 << 30), gain_low = 1 << 30, gain_high = 0;
  for (int64_t i = 0; i < 2000; ++i) {
    const AugmentRow row = draw_augment_row(options, 1, i / 64, i % 64, 80, 64);
    mirrored += row[kAugmentM00] < 0;
    erased += row[kAugmentEraseX1] > row[kAugmentEraseX0];
    if (row[kAugmentM00] > 0) {
      EXPECT_EQ(row[kAugmentTx] % 65536, 0);
      shift_low = std::min(shift_low, row[kAugmentTx] / 65536 - 8);
      shift_high = std::max(shift_high, row[kAugmentTx] / 65536 - 8);
    }
    gain_low = std::min(gain_low, row[kAugmentGain]);
    gain_high = std::max(gain_high, row[kAugmentGain]);
    EXPECT_GE(row[kAugmentEraseX0], 0);
    EXPECT_LE(row[kAugmentEraseX1], 64);
    EXPECT_LE(row[kAugmentEraseY1], 64);
  }
  EXPECT_NEAR(mirrored, 1000, 110);  // 5 standard deviations
  EXPECT_NEAR(erased, 400, 90);
  EXPECT_EQ(shift_low, -3);
  EXPECT_EQ(shift_high, 3);
  EXPECT_LT(gain_low, 0.7 * 4096);
  EXPECT_GT(gain_high, 1.38 * 4096);
}

}  // namespace
}  // namespace tern
