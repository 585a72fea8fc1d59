#include "tern/metrics/baselines.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tern/core/error.h"
#include "tern/core/philox.h"

namespace tern::metrics {
namespace {

Image noise(int width, int height, int channels, uint64_t seed) {
  Image image = make_image(width, height, channels);
  PhiloxSequence draws(seed, RandomStream::Test, 0);
  for (uint8_t& p : image.pixels) p = static_cast<uint8_t>(draws.below(256));
  return image;
}

// The definitions, written down once more from the formulas.
double cosine_by_definition(const Image& a, const Image& b) {
  double ma = 0, mb = 0, ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) ma += a.pixels[i] / 1024.0, mb += b.pixels[i] / 1024.0;
  for (size_t i = 0; i < a.pixels.size(); ++i) {
    const double x = a.pixels[i] - ma, y = b.pixels[i] - mb;
    ab += x * y, aa += x * x, bb += y * y;
  }
  return 1 - ab / std::sqrt(aa * bb);
}

double chi_square_by_definition(const Image& a, const Image& b) {
  std::vector<double> h(512), g(512);
  const auto count = [](const Image& image, std::vector<double>& bins) {
    const double share = 3.0 / static_cast<double>(image.pixels.size());
    for (size_t i = 0; i < image.pixels.size(); i += 3)
      bins[image.pixels[i] / 32 * 64u + image.pixels[i + 1] / 32 * 8u + image.pixels[i + 2] / 32] += share;
  };
  count(a, h), count(b, g);
  double sum = 0;
  for (size_t i = 0; i < 512; ++i)
    if (h[i] + g[i] > 0) sum += (h[i] - g[i]) * (h[i] - g[i]) / (h[i] + g[i]);
  return sum / 2;
}

TEST(Baselines, RawPixelsAreOneMinusTheCosine) {
  const Image a = noise(32, 32, 1, 1), b = noise(32, 32, 1, 2);
  EXPECT_NEAR(raw_pixel_distance(a, b), cosine_by_definition(a, b), 1e-6);
  EXPECT_NEAR(raw_pixel_distance(a, a), 0, 1e-6);
  Image negative = a;
  for (uint8_t& p : negative.pixels) p = static_cast<uint8_t>(255 - p);
  EXPECT_NEAR(raw_pixel_distance(a, negative), 2, 1e-6);
}

TEST(Baselines, RawPixelsIgnoreBrightnessAndSize) {
  Image a = noise(32, 32, 1, 3);
  for (uint8_t& p : a.pixels) p /= 2;
  Image brighter = a;
  for (uint8_t& p : brighter.pixels) p = static_cast<uint8_t>(p + 100);
  EXPECT_NEAR(raw_pixel_distance(a, brighter), 0, 1e-6);
  EXPECT_NEAR(raw_pixel_distance(a, to_rgb(a)), 0, 1e-6);
  const Image photo = noise(80, 50, 3, 4);
  EXPECT_NEAR(raw_pixel_distance(photo, resize(to_grey(photo), 32, 32)), 0, 1e-6);
}

TEST(Baselines, ConstantPhotoIsAtDistanceOneOfEverything) {
  const Image flat = make_image(20, 20, 1, 77);
  EXPECT_EQ(raw_pixel_distance(flat, flat), 1);
  EXPECT_EQ(raw_pixel_distance(flat, noise(32, 32, 1, 5)), 1);
}

TEST(Baselines, HistogramIsChiSquareOf512Bins) {
  const Image a = noise(20, 30, 3, 6), b = noise(25, 25, 3, 7);
  EXPECT_NEAR(histogram_distance(a, b), chi_square_by_definition(a, b), 1e-6);
  EXPECT_NEAR(histogram_distance(a, a), 0, 1e-6);
  EXPECT_NEAR(histogram_distance(make_image(4, 4, 3, 31), make_image(4, 4, 3, 32)), 1, 1e-6);
  EXPECT_NEAR(histogram_distance(make_image(4, 4, 1, 200), make_image(9, 9, 3, 200)), 0, 1e-6)
      << "grey is RGB";
}

TEST(Baselines, RowsGiveTheDistancesOfPairs) {
  std::vector<Image> photos;
  for (uint64_t i = 0; i < 9; ++i) photos.push_back(noise(33 + static_cast<int>(i), 40, 3, 10 + i));
  const PhotoSource load = [&](int64_t i) { return photos[static_cast<size_t>(i)]; };
  const DistanceRow raw = raw_pixel_distances(9, load), histogram = histogram_distances(9, load);
  float out[5];
  raw(2, 3, 8, out);
  for (size_t i = 0; i < 5; ++i)
    EXPECT_EQ(out[i], static_cast<float>(raw_pixel_distance(photos[2], photos[3 + i])));
  histogram(8, 1, 6, out);
  for (size_t i = 0; i < 5; ++i)
    EXPECT_EQ(out[i], static_cast<float>(histogram_distance(photos[8], photos[1 + i])));
}

TEST(Baselines, EmptyPhotoIsRefused) {
  EXPECT_THROW(raw_pixel_distance(Image{}, Image{}), DataError);
  EXPECT_THROW(histogram_distance(Image{}, Image{}), DataError);
}

}  // namespace
}  // namespace tern::metrics
