#include "tern/metrics/baselines.h"

#include <cmath>
#include <memory>

#include "tern/core/error.h"
#include "tern/core/parallel.h"

namespace tern::metrics {

namespace {

constexpr int kSide = 32, kPixels = kSide * kSide, kBins = 512;

void check_photo(const Image& photo) {
  check<DataError>(photo.width > 0 && photo.height > 0 && (photo.channels == 1 || photo.channels == 3),
                   "baseline: a photo of ", photo.width, " x ", photo.height, " pixels and ", photo.channels,
                   " channels, expected 1 (grey) or 3 (RGB)");
}

// The 32 x 32 grey pixels, mean 0 and length 1 (all 0 for a constant photo).
std::vector<float> pixel_features(const Image& photo) {
  check_photo(photo);
  const Image grey = to_grey(photo);
  const Image small = grey.width == kSide && grey.height == kSide ? grey : resize(grey, kSide, kSide);
  int64_t sum = 0;
  for (uint8_t p : small.pixels) sum += p;
  const double mean = static_cast<double>(sum) / kPixels;
  double squares = 0;
  for (uint8_t p : small.pixels) squares += (p - mean) * (p - mean);
  const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
  std::vector<float> features(kPixels);
  for (size_t i = 0; i < features.size(); ++i)
    features[i] = static_cast<float>((small.pixels[i] - mean) * scale);
  return features;
}

float cosine_distance(const std::vector<float>& a, const std::vector<float>& b) {
  float lane[16] = {};  // independent sums: the compiler may use vectors, the order stays fixed
  for (size_t i = 0; i < kPixels; i += 16)
    for (size_t k = 0; k < 16; ++k) lane[k] += a[i + k] * b[i + k];
  double dot = 0;
  for (float l : lane) dot += l;
  return static_cast<float>(1 - dot);
}

struct Bin {
  int index;
  float share;
};

// The bins that are not empty, ascending. A photo of 64 x 64 pixels fills about a hundred of the 512.
std::vector<Bin> histogram_features(const Image& photo) {
  check_photo(photo);
  int64_t count[kBins] = {};
  const size_t step = static_cast<size_t>(photo.channels);
  for (size_t i = 0; i < photo.pixels.size(); i += step) {
    const uint8_t r = photo.pixels[i], g = photo.pixels[i + step / 2], b = photo.pixels[i + step - 1];
    ++count[(r >> 5) * 64 + (g >> 5) * 8 + (b >> 5)];
  }
  const double total = static_cast<double>(photo.pixels.size() / step);
  std::vector<Bin> bins;
  for (int i = 0; i < kBins; ++i)
    if (count[i] > 0) bins.push_back({i, static_cast<float>(static_cast<double>(count[i]) / total)});
  return bins;
}

// Both histograms sum to 1, so 1/2 sum (h - g)^2 / (h + g) = 1 - 2 sum h g / (h + g): only shared bins count.
float chi_square(const std::vector<Bin>& a, const std::vector<Bin>& b) {
  double shared = 0;
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (a[i].index == b[j].index) {
      const double h = a[i].share, g = b[j].share;
      shared += h * g / (h + g);
      ++i, ++j;
    } else if (a[i].index < b[j].index) {
      ++i;
    } else {
      ++j;
    }
  }
  return static_cast<float>(1 - 2 * shared);
}

// Features of every photo, then the distance of two of them as a row function.
template <class Features, class Extract, class Distance>
DistanceRow rows_of(int64_t photos, const PhotoSource& load, Extract extract, Distance distance) {
  check(photos >= 0, "baseline: ", photos, " photos");
  auto features = std::make_shared<std::vector<Features>>(static_cast<size_t>(photos));
  parallel_for(photos, 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) (*features)[static_cast<size_t>(i)] = extract(load(i));
  });
  return [features, distance](int64_t row, int64_t begin, int64_t end, float* out) {
    const Features& a = (*features)[static_cast<size_t>(row)];
    for (int64_t i = begin; i < end; ++i) out[i - begin] = distance(a, (*features)[static_cast<size_t>(i)]);
  };
}

}  // namespace

double raw_pixel_distance(const Image& a, const Image& b) {
  return cosine_distance(pixel_features(a), pixel_features(b));
}

double histogram_distance(const Image& a, const Image& b) {
  return chi_square(histogram_features(a), histogram_features(b));
}

DistanceRow raw_pixel_distances(int64_t photos, const PhotoSource& load) {
  return rows_of<std::vector<float>>(photos, load, pixel_features, cosine_distance);
}

DistanceRow histogram_distances(int64_t photos, const PhotoSource& load) {
  return rows_of<std::vector<Bin>>(photos, load, histogram_features, chi_square);
}

}  // namespace tern::metrics
