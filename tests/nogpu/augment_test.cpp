// Augmentation on the device: the integers and the bits of the CPU.

#include "tern/ops/augment.h"

#include "tern/core/philox.h"
#include "tern/tests/nogpu/parity.h"

namespace tern::test {
namespace {

// Rows that turn, mirror, scale, colour and erase.
Tensor random_table(int64_t photos, int64_t size, uint64_t seed) {
  PhiloxSequence random(seed, RandomStream::Test, 2);
  const auto between = [&](int32_t low, int32_t high) {
    return low + static_cast<int32_t>(random.below(static_cast<uint32_t>(high - low + 1)));
  };
  const auto side = static_cast<int32_t>(size);
  std::vector<AugmentRow> rows;
  for (int64_t n = 0; n < photos; ++n) {
    AugmentRow row{};
    for (const auto column : {kAugmentM00, kAugmentM01, kAugmentM10, kAugmentM11})
      row[column] = between(-150'000, 150'000);
    row[kAugmentTx] = between(-3 << 16, 12 << 16);
    row[kAugmentTy] = between(-3 << 16, 12 << 16);
    row[kAugmentGain] = between(0, 8 << 12);
    row[kAugmentBias] = between(-100 * 128, 100 * 128);
    row[kAugmentSaturation] = between(0, 4 << 12);
    row[kAugmentEraseX0] = between(-1, side), row[kAugmentEraseX1] = between(0, side + 1);
    row[kAugmentEraseY0] = between(-1, side), row[kAugmentEraseY1] = between(0, side + 1);
    row[kAugmentColour] = between(0, 0xFFFFFF);
    rows.push_back(row);
  }
  return augment_table(rows);
}

void expect_same(const Tensor& photos, const Tensor& table, int64_t size) {
  for (const DType dtype : {DType::F32, DType::BF16})
    expect_parity(
        [&](const Tensors& x) {
          return augment(x[0], x[1],
                         {.size = size, .mean = {.5f, .4f, .3f}, .std = {.25f, .3f, .2f}, .dtype = dtype});
        },
        {photos, table}, {.tolerance = 0});
}

TEST(NoGpuAugment, HasTheBitsOfTheCpu) {
  for (const int64_t channels : {1, 3})
    for (const int64_t size : {1, 3, 4, 5, 8, 16, 17, 36}) {
      SCOPED_TRACE(testing::Message() << size << " pixels, " << channels << " channels");
      for (const int64_t photos : {0, 1, 3})
        expect_same(random_ints({photos, 11, 9, channels}, DType::U8, 4, 0, 255),
                    random_table(photos, size, static_cast<uint64_t>(size)), size);
    }
}
TEST(NoGpuAugment, IdentityRows) {
  const std::vector<AugmentRow> rows(2, identity_augment_row(12, 10, 8));
  expect_same(random_ints({2, 12, 10, 3}, DType::U8, 4, 0, 255), augment_table(rows), 8);
}

}  // namespace
}  // namespace tern::test
