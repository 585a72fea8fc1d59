// Damaged photos at random: an image of the stated size or a named error, never anything else.

#include <gtest/gtest.h>

#include <string_view>

#include "tern/core/error.h"
#include "tern/core/philox.h"
#include "tern/data/image.h"
#include "tests/data/image_files.h"

namespace tern {
namespace {

using namespace test;

// Returns whether the bytes were accepted.
bool survives(const Bytes& bytes, int target_side) {
  try {
    const Image image = decode_image(bytes, "fuzz", {.max_pixels = 1 << 20, .target_side = target_side});
    EXPECT_EQ(image.pixels.size(), size_t(image.width) * image.height * image.channels);
    EXPECT_TRUE(image.channels == 1 || image.channels == 3);
    return true;
  } catch (const DataError& error) {
    EXPECT_EQ(std::string_view(error.what()).find("fuzz: "), 0u) << error.what();
  }
  return false;
}

std::vector<Bytes> seeds() {
  const Image small = noise_image(18, 13, 3), grey = noise_image(12, 21, 1);
  const Bytes palette_row = {0x1B, 0xE4, 0x1B};
  return {jpeg_file(small),
          jpeg_file(small, {.progressive = true, .orientation = 7}),
          jpeg_file(grey, {.arithmetic = true}),
          jpeg_file(noise_image(16, 12, 3).pixels.data(), 12, 12, {.in = JCS_CMYK, .file = JCS_YCCK}),
          png_file(small, {.interlaced = true, .orientation = 3}),
          png_file(grey, {.comment = "some text"}),
          png_file(palette_row.data(), 3, 12, 1,
                   {.type = PNG_COLOR_TYPE_PALETTE,
                    .depth = 2,
                    .palette = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {99, 0, 255}},
                    .transparency = {9}}),
          write_pgm(small),
          Bytes{'P', '2', ' ', '2', ' ', '2', ' ', '9', '9', ' ', '1', ' ', '2', ' ', '3', ' ', '4', '\n'}};
}

TEST(LongImageFuzz, RandomDamageIsAnImageOrANamedError) {
  PhiloxSequence random(1, RandomStream::Test, 42);
  int64_t accepted = 0, refused = 0;
  for (const Bytes& seed : seeds())
    for (int round = 0; round < 4000; ++round) {
      Bytes bytes = seed;
      for (uint32_t changes = 1 + random.below(4); changes > 0; --changes) {
        const uint32_t at = random.below(static_cast<uint32_t>(bytes.size()));
        switch (random.below(5)) {
          case 0: bytes[at] = static_cast<uint8_t>(random.next()); break;
          case 1: bytes[at] = static_cast<uint8_t>(bytes[at] ^ 1u << random.below(8)); break;
          case 2: bytes[at] = random.below(2) ? 0xFF : 0; break;
          case 3: bytes.insert(bytes.begin() + at, static_cast<uint8_t>(random.next())); break;
          default: bytes.erase(bytes.begin() + at); break;
        }
        if (bytes.empty()) bytes.push_back(0);
      }
      (survives(bytes, random.below(2) ? 0 : 4) ? accepted : refused) += 1;
    }
  // Damage must be seen often, and a change of one coefficient must not be seen: both ways were taken.
  EXPECT_GT(refused, 10000);
  EXPECT_GT(accepted, 1000);
}

TEST(LongImageFuzz, EveryByteOfEveryHeaderIsChanged) {
  for (const Bytes& seed : seeds())
    for (size_t at = 0; at < std::min<size_t>(seed.size(), 700); ++at)
      for (const int value : {0, 1, 0x7F, 0x80, 0xFF}) {
        Bytes bytes = seed;
        bytes[at] = static_cast<uint8_t>(value);
        survives(bytes, 0);
      }
}

}  // namespace
}  // namespace tern
