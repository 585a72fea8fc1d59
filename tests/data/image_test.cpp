#include "tern/data/image.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "tern/core/error.h"
#include "tests/data/image_files.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using namespace test;

Image decoded(const Bytes& bytes) { return decode_image(bytes, "photo"); }
Bytes text_bytes(std::string_view text) { return {text.begin(), text.end()}; }

TEST(ImagePng, GreyAndColourComeBackExactly) {
  for (const int channels : {1, 3}) {
    const Image image = noise_image(13, 7, channels);
    EXPECT_EQ(decoded(write_png(image)), image);
    EXPECT_EQ(decoded(png_file(image, {.interlaced = true})), image);
  }
  EXPECT_EQ(decoded(write_png(make_image(1, 1, 3, 200))), make_image(1, 1, 3, 200));
}

TEST(ImagePng, SixteenBitSamplesAreRounded) {
  Bytes rows;
  Image expected = make_image(257, 1, 1);
  for (int x = 0; x < 257; ++x) {
    const int v = x * 255 + 3;
    rows.push_back(static_cast<uint8_t>(v >> 8));
    rows.push_back(static_cast<uint8_t>(v));
    expected.pixels[x] = static_cast<uint8_t>((v + 128) / 257);
  }
  const Image image =
      decoded(png_file(rows.data(), rows.size(), 257, 1, {.type = PNG_COLOR_TYPE_GRAY, .depth = 16}));
  EXPECT_LE(largest_difference(image, expected), 0);
}

TEST(ImagePng, PalettesOfEveryDepthWithTransparencyGiveTheirColours) {
  const std::vector<png_color> palette = {{1, 2, 3}, {250, 100, 0}, {9, 99, 199}, {255, 255, 255}};
  for (const int depth : {2, 4, 8}) {
    // Pixels 0 1 2 3 3 2 1 0, packed from the high bits down.
    Bytes row(static_cast<size_t>(depth), 0);
    const int index[8] = {0, 1, 2, 3, 3, 2, 1, 0};
    for (int x = 0; x < 8; ++x)
      row[x * depth / 8] |= static_cast<uint8_t>(index[x] << (8 - depth - x * depth % 8));
    const PngFile file{
        .type = PNG_COLOR_TYPE_PALETTE, .depth = depth, .palette = palette, .transparency = {0, 128, 255}};
    const Image image = decoded(png_file(row.data(), row.size(), 8, 1, file));
    ASSERT_EQ(image.channels, 3);
    for (int x = 0; x < 8; ++x) {
      EXPECT_EQ(image.at(0, x, 0), palette[index[x]].red);
      EXPECT_EQ(image.at(0, x, 1), palette[index[x]].green);
      EXPECT_EQ(image.at(0, x, 2), palette[index[x]].blue);
    }
  }
}

TEST(ImagePng, LowDepthGreyIsSpreadOverTheLevels) {
  const uint8_t one = 0b10110010, two = 0b00011011;
  const Image bits = decoded(png_file(&one, 1, 8, 1, {.type = PNG_COLOR_TYPE_GRAY, .depth = 1}));
  EXPECT_EQ(bits.pixels, (Bytes{255, 0, 255, 255, 0, 0, 255, 0}));
  const Image pairs = decoded(png_file(&two, 1, 4, 1, {.type = PNG_COLOR_TYPE_GRAY, .depth = 2}));
  EXPECT_EQ(pairs.pixels, (Bytes{0, 85, 170, 255}));
}

TEST(ImagePng, AlphaIsDropped) {
  const Bytes rgba = {10, 20, 30, 0, 40, 50, 60, 128};
  EXPECT_EQ(decoded(png_file(rgba.data(), 8, 2, 1, {.type = PNG_COLOR_TYPE_RGB_ALPHA})).pixels,
            (Bytes{10, 20, 30, 40, 50, 60}));
  const Bytes grey_alpha = {10, 0, 40, 128};
  const Image grey = decoded(png_file(grey_alpha.data(), 4, 2, 1, {.type = PNG_COLOR_TYPE_GRAY_ALPHA}));
  EXPECT_EQ(grey.channels, 1);
  EXPECT_EQ(grey.pixels, (Bytes{10, 40}));
}

TEST(ImageJpeg, GreyAndColourComeBackWithinAFewLevels) {
  for (const int channels : {1, 3}) {
    const Image image = smooth_image(37, 29, channels);
    EXPECT_LE(largest_difference(decoded(write_jpeg(image, 95)), image), 6);
    EXPECT_LE(largest_difference(decoded(jpeg_file(image, {.restart_rows = 1})), image), 6);
    EXPECT_LE(largest_difference(decoded(jpeg_file(image, {.in = JCS_RGB, .file = JCS_RGB})), image), 6);
  }
}

TEST(ImageJpeg, ProgressiveAndArithmeticGiveThePixelsOfTheBaselineFile) {
  for (const int channels : {1, 3}) {
    const Image image = noise_image(40, 33, channels);
    const Image baseline = decoded(jpeg_file(image));
    EXPECT_EQ(decoded(jpeg_file(image, {.progressive = true})), baseline);
    EXPECT_EQ(decoded(jpeg_file(image, {.arithmetic = true})), baseline);
  }
}

TEST(ImageJpeg, CmykAndYcckFollowAdobe) {
  // Inverted inks as Adobe writes them: 255 is no ink.
  const int width = 24, height = 16;
  Bytes inks;
  Image expected = make_image(width, height, 3);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const int cmyk[4] = {40 + 8 * x, 230 - 5 * y, 60 + 4 * x + 3 * y, 255 - 4 * x};
      for (int c = 0; c < 4; ++c) inks.push_back(static_cast<uint8_t>(cmyk[c]));
      for (int c = 0; c < 3; ++c)
        expected.row(y)[x * 3 + c] = static_cast<uint8_t>(cmyk[c] * cmyk[3] / 255.0 + 0.5);
    }
  for (const J_COLOR_SPACE space : {JCS_CMYK, JCS_YCCK}) {
    const Image image =
        decoded(jpeg_file(inks.data(), width, height, {.quality = 98, .in = JCS_CMYK, .file = space}));
    EXPECT_LE(largest_difference(image, expected), 8) << space;
  }
}

// What a viewer must show: 3 x 2 blocks of one level each, upright.
constexpr int kBlock = 16;
Image blocks(const std::vector<std::vector<int>>& levels) {
  Image image =
      make_image(static_cast<int>(levels[0].size()) * kBlock, static_cast<int>(levels.size()) * kBlock, 1);
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      image.row(y)[x] = static_cast<uint8_t>(levels[y / kBlock][x / kBlock]);
  return image;
}

TEST(ImageExif, EveryOrientationComesOutUpright) {
  // The stored photo, and how EXIF 2.32 says each orientation is to be shown.
  const Image stored = blocks({{10, 50, 90}, {130, 170, 210}});
  const Image shown[8] = {
      blocks({{10, 50, 90}, {130, 170, 210}}),    // 1: as stored
      blocks({{90, 50, 10}, {210, 170, 130}}),    // 2: row 0 top, column 0 right
      blocks({{210, 170, 130}, {90, 50, 10}}),    // 3: row 0 bottom, column 0 right
      blocks({{130, 170, 210}, {10, 50, 90}}),    // 4: row 0 bottom, column 0 left
      blocks({{10, 130}, {50, 170}, {90, 210}}),  // 5: row 0 left, column 0 top
      blocks({{130, 10}, {170, 50}, {210, 90}}),  // 6: row 0 right, column 0 top
      blocks({{210, 90}, {170, 50}, {130, 10}}),  // 7: row 0 right, column 0 bottom
      blocks({{90, 210}, {50, 170}, {10, 130}}),  // 8: row 0 left, column 0 bottom
  };
  for (int o = 1; o <= 8; ++o) {
    for (const bool big_endian : {false, true})
      EXPECT_LE(largest_difference(decoded(jpeg_file(stored, {.orientation = o, .big_endian = big_endian})),
                                   shown[o - 1]),
                2)
          << o;
    EXPECT_EQ(decoded(png_file(stored, {.orientation = o})), shown[o - 1]) << o;
    EXPECT_EQ(apply_orientation(stored, o), shown[o - 1]) << o;
  }
}

TEST(ImageExif, DamagedExifCountsAsUpright) {
  const Image stored = blocks({{10, 50, 90}, {130, 170, 210}});
  for (const int o : {9, 255}) EXPECT_EQ(decoded(jpeg_file(stored, {.orientation = o})).width, stored.width);
  // Each byte of the segment changed in turn: never an error, always one of the two shapes.
  Bytes bytes = jpeg_file(stored, {.orientation = 6});
  const std::string_view mark = "Exif";
  const auto begin = std::search(bytes.begin(), bytes.end(), mark.begin(), mark.end()) - bytes.begin();
  for (size_t i = static_cast<size_t>(begin); i < static_cast<size_t>(begin) + 44; ++i)
    for (const int flip : {1, 0x80, 0xFF}) {
      Bytes damaged = bytes;
      damaged[i] = static_cast<uint8_t>(damaged[i] ^ flip);
      const Image image = decoded(damaged);
      EXPECT_EQ(image.width + image.height, 5 * kBlock);
    }
}

TEST(ImagePnm, EveryKindGivesItsSamples) {
  EXPECT_EQ(decoded(text_bytes("P2\n# a comment\n3 1 # another\n255\n0 128 255\n")).pixels,
            (Bytes{0, 128, 255}));
  EXPECT_EQ(decoded(text_bytes("P2 3 1 100 0 50 100")).pixels, (Bytes{0, 128, 255}));
  EXPECT_EQ(decoded(text_bytes("P3\n1 2\n255\n1 2 3\n4 5 6\n")).pixels, (Bytes{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(decoded(text_bytes("P5\r\n3 1\n255\nabc")).pixels, (Bytes{'a', 'b', 'c'}));
  EXPECT_EQ(decoded(text_bytes("P6 1 1 255 xyz")).pixels, (Bytes{'x', 'y', 'z'}));
  Bytes wide = text_bytes("P5 3 1 65535\n");
  for (const int v : {0x00, 0x00, 0x80, 0x00, 0xFF, 0xFF}) wide.push_back(static_cast<uint8_t>(v));
  EXPECT_EQ(decoded(wide).pixels, (Bytes{0, 128, 255}));
  for (const int channels : {1, 3}) {
    const Image image = noise_image(5, 4, channels);
    EXPECT_EQ(decoded(write_pgm(image)), image);
  }
}

TEST(ImagePnm, RefusesWhatIsNotOne) {
  for (const auto* text : {"P5",
                           "P5 3",
                           "P5 3 1",
                           "P5 3 1 255",
                           "P5 3 1 255 ab",
                           "P5 0 1 255 ",
                           "P5 x 1 255 abc",
                           "P5 3 1 0 abc",
                           "P5 3 1 65536 abc",
                           "P2 2 1 255 1",
                           "P2 2 1 255 1 256",
                           "P2 2 1 255 1x2",
                           "P2 2 1 255 -1 2",
                           "P3 1 1 255 1 2",
                           "P4 8 1 a",
                           "P1 1 1 1",
                           "P7\nWIDTH 1\n",
                           "P5 99999999999 1 255 a",
                           "P5 16000 4000 255 a",
                           "P2 4000 4000 255 1 1 1"})
    expect_error<DataError>([&] { decode_image(text_bytes(text), "dir/some.pgm"); }, {"dir/some.pgm: "});
}

TEST(ImageRead, TheContentTellsTheTypeAndOthersAreNamed) {
  for (const auto* text :
       {"hello, I am a text file called .jpg", "BM123456", "GIF89a", "\x89PN", "\xff\xd8", "P", "P8"})
    expect_error<DataError>([&] { decode_image(text_bytes(text), "a\n.jpg"); },
                            {"a\\x0a.jpg", "not a photo"});
  expect_error<DataError>([] { decode_image({}, "empty.jpg"); }, {"empty.jpg", "empty"});
  Bytes precise = jpeg_file(smooth_image(16, 16, 3));
  for (size_t i = 0; i + 9 < precise.size(); ++i)
    if (precise[i] == 0xFF && precise[i + 1] == 0xC0) precise[i + 4] = 12;
  expect_error<DataError>([&] { decode_image(precise, "x.jpg"); }, {"x.jpg", "precision 12"});
}

TEST(ImageRead, EveryTruncationIsRefused) {
  const Image small = noise_image(17, 11, 3);
  const std::vector<Bytes> files = {jpeg_file(small),
                                    jpeg_file(small, {.progressive = true}),
                                    jpeg_file(small, {.orientation = 6}),
                                    png_file(small, {.interlaced = true}),
                                    write_png(small),
                                    write_pgm(small),
                                    write_pgm(noise_image(9, 9, 1))};
  for (size_t f = 0; f < files.size(); ++f)
    for (size_t n = 0; n < files[f].size(); ++n) {
      bool refused = false;
      try {
        decode_image(std::span(files[f]).first(n), "cut.file");
      } catch (const DataError& error) {
        refused = std::string_view(error.what()).find("cut.file: ") == 0;
      }
      ASSERT_TRUE(refused) << "file " << f << " cut at " << n << " of " << files[f].size();
    }
}

double milliseconds(const std::function<void()>& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

TEST(ImageLimits, GiantsAreRefusedFromTheHeader) {
  const Bytes base = jpeg_file(smooth_image(32, 32, 3)),
              progressive = jpeg_file(smooth_image(32, 32, 3), {.progressive = true});
  Bytes png = write_png(smooth_image(32, 32, 3));
  png[16] = png[20] = 0, png[18] = png[22] = 0x75, png[19] = png[23] = 0x30;  // 30000 x 30000
  const std::vector<std::pair<Bytes, std::string_view>> giants = {
      {with_jpeg_size(base, 65500, 65500), "65500x65500"},
      {with_jpeg_size(progressive, 16384, 16384), "268 Mpx"},
      {with_jpeg_size(base, 1, 65500), "1x65500"},
      {png, "30000x30000"},
      {text_bytes("P5 65500 65500 255 a"), "65500x65500"},
      {text_bytes("P6 9000 9000 255 a"), "81 Mpx"}};
  for (const auto& [bytes, word] : giants) {
    const auto& file = bytes;
    const std::string_view expected = word;
    EXPECT_LT(milliseconds([&] {
                expect_error<DataError>([&] { decode_image(file, "bomb"); }, {"bomb: ", expected});
              }),
              20);
  }
  EXPECT_THROW(decoded(with_jpeg_size(base, 0, 10)), DataError);
}

TEST(ImageLimits, EachIsNamed) {
  const Image image = noise_image(64, 48, 3);
  const Bytes file = jpeg_file(image, {.progressive = true});
  expect_error<DataError>([&] { decode_image(file, "f", {.max_side = 63}); }, {"64x48", "at most 63"});
  expect_error<DataError>([&] { decode_image(file, "f", {.max_pixels = 3000}); }, {"64x48"});
  expect_error<DataError>([&] { decode_image(file, "f", {.max_file_bytes = 100}); }, {"limit 100"});
  expect_error<DataError>([&] { decode_image(file, "f", {.max_scans = 3}); }, {"more than 3 scans"});
  // 9216 bytes of pixels, and the coefficients of a progressive file beside them.
  expect_error<DataError>([&] { decode_image(file, "f", {.max_memory_bytes = 10000}); }, {"takes"});
  EXPECT_NO_THROW(decode_image(jpeg_file(image), "f", {.max_memory_bytes = 10000}));
}

TEST(ImageLimits, ACompressedTextChunkIsNotInflated) {
  const PngFile bomb{.comment = std::string(2 << 20, 'A')};
  const Image image = noise_image(8, 8, 3);
  const Bytes bytes = png_file(image, bomb);
  EXPECT_LT(bytes.size(), 10000u);
  EXPECT_LT(milliseconds([&] { EXPECT_EQ(decoded(bytes), image); }), 10);
}

TEST(ImageRead, ALargeJpegIsDecodedAtReducedScale) {
  const Image image = smooth_image(400, 320, 3);
  const Bytes bytes = jpeg_file(image);
  const auto side = [&](int target) { return decode_image(bytes, "f", {.target_side = target}); };
  EXPECT_EQ(side(0).height, 320);
  EXPECT_EQ(side(161).height, 320);
  EXPECT_EQ(side(160).height, 160);
  EXPECT_EQ(side(81).height, 160);
  EXPECT_EQ(side(80).width, 100);
  EXPECT_EQ(side(5).height, 40);
  EXPECT_LE(largest_difference(side(80), resize(image, 100, 80)), 8);
}

TEST(ImageRead, OnlyRegularFilesAreRead) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "tern_image_read";
  std::filesystem::create_directories(folder);
  const std::string fifo = folder / "fifo.jpg", good = folder / "good.bin", missing = folder / "missing.jpg";
  std::filesystem::remove(fifo);
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  expect_error<DataError>([&] { read_image(fifo); }, {"fifo.jpg", "not a regular file"});
  expect_error<DataError>([&] { read_image(folder); }, {"not a regular file"});
  expect_error<IoError>([&] { read_image(missing); }, {"missing.jpg", "No such file"});
  const Bytes bytes = write_png(noise_image(6, 5, 3));
  std::ofstream(good, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
  EXPECT_EQ(read_image(good), noise_image(6, 5, 3));
  expect_error<DataError>([&] { read_image(good, {.max_file_bytes = 10}); }, {"good.bin", "limit 10"});
  std::filesystem::remove_all(folder);
}

TEST(ImageWrite, RefusesWhatIsNoImage) {
  Image torn = make_image(4, 4, 3);
  torn.pixels.pop_back();
  EXPECT_THROW(write_png(torn), UsageError);
  EXPECT_THROW(write_jpeg(torn), UsageError);
  EXPECT_THROW(write_pgm(torn), UsageError);
  EXPECT_THROW(write_jpeg(make_image(4, 4, 3), 0), UsageError);
  EXPECT_THROW(write_png(Image{}), UsageError);
}

}  // namespace
}  // namespace tern
