// Resize, crop, prepare: against naive loops in real numbers.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tern/core/error.h"
#include "tern/data/image.h"
#include "tern/data/preprocess.h"
#include "tests/data/image_files.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using namespace test;

// Triangle weight of input pixel i for a sample point, both in input pixels; support as in data/image.h.
double triangle(double center, int i, double support) {
  return std::max(0.0, 1 - std::abs(i + 0.5 - center) / support);
}

// The definition: one two-dimensional weighted mean per output sample.
double naive_sample(const Image& image, double cx, double cy, double sx, double sy, int c) {
  double total = 0, weights = 0;
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x) {
      const double w = triangle(cx, x, sx) * triangle(cy, y, sy);
      total += w * image.at(y, x, c);
      weights += w;
    }
  return total / weights;
}

void expect_resized(const Image& image, int width, int height, const Box& box) {
  const Image result = resize(image, width, height, box);
  ASSERT_EQ(result.width, width);
  ASSERT_EQ(result.height, height);
  const double kx = (box.x1 - box.x0) / width, ky = (box.y1 - box.y0) / height;
  double worst = 0;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < image.channels; ++c)
        worst = std::max(worst, std::abs(result.at(y, x, c) -
                                         naive_sample(image, box.x0 + (x + 0.5) * kx, box.y0 + (y + 0.5) * ky,
                                                      std::max(kx, 1.0), std::max(ky, 1.0), c)));
  EXPECT_LE(worst, 1.01) << image.width << "x" << image.height << " to " << width << "x" << height;
}

TEST(Resize, AgreesWithTheDefinitionWithinALevel) {
  for (const int channels : {1, 3})
    for (const auto [w, h, to_w, to_h] : {std::array{31, 23, 11, 9},
                                          {8, 8, 19, 17},
                                          {40, 5, 7, 12},
                                          {1, 1, 3, 2},
                                          {16, 16, 16, 16},
                                          {9, 30, 1, 1}}) {
      const Image image = noise_image(w, h, channels);
      expect_resized(image, to_w, to_h, {0, 0, double(w), double(h)});
      if (w > 4 && h > 4) expect_resized(image, to_w, to_h, {1.25, 0.5, w - 2.75, h - 0.125});
    }
}

TEST(Resize, KeepsConstantsAndIdentity) {
  EXPECT_EQ(resize(make_image(97, 41, 3, 255), 13, 60), make_image(13, 60, 3, 255));
  EXPECT_EQ(resize(make_image(5, 5, 1, 7), 64, 64), make_image(64, 64, 1, 7));
  const Image image = noise_image(20, 15, 3);
  EXPECT_EQ(resize(image, 20, 15), image);
}

TEST(Resize, BeyondTheEdgeTheEdgeRepeats) {
  const Image image = noise_image(10, 10, 1);
  const Image wide = resize(image, 30, 30, {-10, -10, 20, 20});
  for (int y = 0; y < 30; ++y)
    for (int x = 0; x < 30; ++x)
      ASSERT_EQ(wide.at(y, x), image.at(std::clamp(y - 10, 0, 9), std::clamp(x - 10, 0, 9)));
  EXPECT_EQ(resize(image, 2, 2, {100, 100, 102, 102}), make_image(2, 2, 1, image.at(9, 9)));
}

TEST(Resize, RefusesNonsense) {
  EXPECT_THROW(resize(Image{}, 4, 4), UsageError);
  EXPECT_THROW(resize(make_image(4, 4, 1), 0, 4), UsageError);
  EXPECT_THROW(resize(make_image(4, 4, 1), 4, 4, {2, 0, 2, 4}), UsageError);
}

TEST(Crop, TakesTheRectangle) {
  const Image image = noise_image(9, 7, 3);
  const Image part = crop(image, 2, 1, 4, 5);
  for (int y = 0; y < 5; ++y)
    for (int x = 0; x < 4; ++x)
      for (int c = 0; c < 3; ++c) ASSERT_EQ(part.at(y, x, c), image.at(y + 1, x + 2, c));
  EXPECT_EQ(center_crop(image, 3, 3), crop(image, 3, 2, 3, 3));
  EXPECT_EQ(flip_horizontal(flip_horizontal(image)), image);
  EXPECT_EQ(flip_horizontal(image).at(2, 0, 1), image.at(2, 8, 1));
  EXPECT_THROW(crop(image, 6, 0, 4, 4), UsageError);
  EXPECT_THROW(crop(image, -1, 0, 4, 4), UsageError);
  EXPECT_THROW(center_crop(image, 10, 3), UsageError);
}

TEST(Grey, IsRec601LumaAndColourRepeatsIt) {
  Image image = make_image(4, 1, 3);
  image.pixels = {255, 0, 0, 0, 255, 0, 0, 0, 255, 200, 200, 200};
  EXPECT_EQ(to_grey(image).pixels, (Bytes{76, 150, 29, 200}));
  EXPECT_EQ(to_rgb(to_grey(image)).pixels, (Bytes{76, 76, 76, 150, 150, 150, 29, 29, 29, 200, 200, 200}));
}

TEST(Prepare, TakesTheCentralSquare) {
  const Image image = noise_image(50, 40, 3);
  const Preprocess whole{.size = 20, .channels = 3};
  EXPECT_EQ(prepare(image, whole), resize(image, 20, 20, {5, 0, 45, 40}));
  const Preprocess part{.size = 20, .channels = 3, .crop = 0.5};
  EXPECT_EQ(prepare(image, part), resize(image, 20, 20, {15, 10, 35, 30}));
  EXPECT_EQ(prepare(image, {.size = 20, .channels = 1}), resize(to_grey(image), 20, 20, {5, 0, 45, 40}));
  const Preprocess beyond{.size = 20, .channels = 3, .crop = 1.25};
  EXPECT_EQ(prepare(image, beyond), resize(image, 20, 20, {0, -5, 50, 45}));
  const Image grey = noise_image(30, 33, 1);
  EXPECT_EQ(prepare(grey, {.size = 9, .channels = 3}), to_rgb(prepare(grey, {.size = 9, .channels = 1})));
}

TEST(Prepare, TheMiddleIsTheSameForAnyMargin) {
  for (const auto [w, h] : {std::array{250, 250}, {92, 112}, {31, 160}, {7, 9}})
    for (const double fraction : {1.3, 1.0, 0.8, 0.37}) {
      const Image image = noise_image(w, h, 3);
      const Preprocess preprocess{.size = 33, .channels = 3, .crop = fraction};
      const Image plain = prepare(image, preprocess);
      for (const int margin : {1, 5, 16}) {
        const Image wide = prepare(image, preprocess, margin);
        EXPECT_EQ(wide.width, 33 + 2 * margin);
        EXPECT_EQ(crop(wide, margin, margin, 33, 33), plain)
            << w << "x" << h << " " << fraction << " " << margin;
      }
    }
}

TEST(Prepare, NormalizeIsExact) {
  const Preprocess preprocess{
      .size = 6, .channels = 3, .mean = {0.1f, 0.2f, 0.3f}, .std = {0.5f, 0.6f, 0.7f}};
  const std::vector<Image> images = {noise_image(6, 6, 3, 1), noise_image(6, 6, 3, 2)};
  const Tensor y = normalize(images, preprocess);
  ASSERT_EQ(y.shape(), (Shape{2, 6, 6, 3}));
  for (int i = 0; i < 216; ++i) {
    const float x = images[i / 108].pixels[i % 108];
    ASSERT_EQ(y.data<float>()[i], (x / 255.0f - preprocess.mean[i % 3]) / preprocess.std[i % 3]);
  }
  EXPECT_THROW(normalize(std::vector<Image>{make_image(5, 6, 3)}, preprocess), ShapeError);
}

TEST(Prepare, RefusesImpossibleOptions) {
  expect_error<UsageError>([] { check_preprocess({.size = 0}); }, {"size 0"});
  expect_error<UsageError>([] { check_preprocess({.channels = 2}); }, {"2 channels"});
  expect_error<UsageError>([] { check_preprocess({.crop = 0}); }, {"crop"});
  expect_error<UsageError>([] { check_preprocess({.crop = 2.5}); }, {"crop 2.5"});
  expect_error<UsageError>([] { check_preprocess({.std = {1, 1, 0}}); }, {"channel 2"});
}

}  // namespace
}  // namespace tern
