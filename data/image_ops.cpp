// Reshaping of images: resize, crop, flip, orientation, grey and colour.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "tern/core/error.h"
#include "tern/data/image.h"

namespace tern {

namespace {

constexpr int kWeightBits = 22;

// For each output position the first input position and the weights of the run that begins there.
struct Filter {
  std::vector<int> first;
  std::vector<int> count;
  std::vector<int32_t> weights;  // [out][stride]
  int stride = 0;
};

// The triangle filter for one axis. The sample point of output i is written relative to the centre of the
// box, so that a box grown by a whole number of output pixels on both sides gives the same weights in its
// middle.
Filter triangle_filter(int in, double low, double high, int out) {
  const double scale = (high - low) / out;
  const double support = std::max(scale, 1.0);
  Filter filter;
  filter.stride = static_cast<int>(std::ceil(support)) * 2 + 1;
  filter.first.resize(out);
  filter.count.resize(out);
  filter.weights.assign(size_t(out) * filter.stride, 0);
  std::vector<double> weight(filter.stride);
  for (int i = 0; i < out; ++i) {
    const double center = std::clamp((low + high) / 2 + (i + 0.5 - out / 2.0) * scale, 0.0, double(in));
    const int begin = std::max(0, static_cast<int>(center - support + 0.5));
    const int end = std::min(in, static_cast<int>(center + support + 0.5));
    double total = 0;
    for (int k = 0; k < end - begin; ++k) {
      weight[k] = std::max(0.0, 1 - std::abs((begin + k + 0.5 - center) / support));
      total += weight[k];
    }
    filter.first[i] = begin;
    filter.count[i] = end - begin;
    for (int k = 0; k < end - begin; ++k)
      filter.weights[size_t(i) * filter.stride + k] =
          static_cast<int32_t>(0.5 + weight[k] / total * (1 << kWeightBits));
  }
  return filter;
}

uint8_t rounded(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kWeightBits, 0, 255)); }

constexpr int32_t kHalf = 1 << (kWeightBits - 1);

template <int kChannels>
void resize_row(const uint8_t* in, const Filter& filter, uint8_t* out, int width) {
  for (int x = 0; x < width; ++x) {
    const uint8_t* p = in + size_t(filter.first[x]) * kChannels;
    const int32_t* weight = filter.weights.data() + size_t(x) * filter.stride;
    int32_t sum[kChannels];
    for (int c = 0; c < kChannels; ++c) sum[c] = kHalf;
    for (int k = 0; k < filter.count[x]; ++k)
      for (int c = 0; c < kChannels; ++c) sum[c] += weight[k] * p[k * kChannels + c];
    for (int c = 0; c < kChannels; ++c) out[x * kChannels + c] = rounded(sum[c]);
  }
}

void check_image(const char* op, const Image& image) {
  check(image.width > 0 && image.height > 0 && (image.channels == 1 || image.channels == 3) &&
            image.pixels.size() == size_t(image.width) * image.height * image.channels,
        op, ": ", image.width, "x", image.height, "x", image.channels, " with ", image.pixels.size(),
        " samples is not an image");
}

}  // namespace

Image resize(const Image& image, int width, int height) {
  return resize(image, width, height, {0, 0, double(image.width), double(image.height)});
}

Image resize(const Image& image, int width, int height, const Box& box) {
  check_image("resize", image);
  check(width > 0 && height > 0 && width <= 32768 && height <= 32768, "resize: to ", width, "x", height,
        "; a side is within 1 .. 32768");
  check(box.x1 > box.x0 && box.y1 > box.y0, "resize: an empty box");
  const int channels = image.channels;
  const Filter across = triangle_filter(image.width, box.x0, box.x1, width);
  const Filter down = triangle_filter(image.height, box.y0, box.y1, height);
  // Only the rows that the vertical pass reads.
  const int top = down.first.front();
  const int bottom = down.first.back() + down.count.back();
  const size_t row = size_t(width) * channels;
  std::vector<uint8_t> between(size_t(bottom - top) * row);
  for (int y = top; y < bottom; ++y) {
    uint8_t* out = between.data() + size_t(y - top) * row;
    if (channels == 1) resize_row<1>(image.row(y), across, out, width);
    else resize_row<3>(image.row(y), across, out, width);
  }
  Image result{width, height, channels, {}};
  result.pixels.resize(row * height);
  std::vector<int32_t> sums(row);
  for (int y = 0; y < height; ++y) {
    std::fill(sums.begin(), sums.end(), kHalf);
    for (int k = 0; k < down.count[y]; ++k) {
      const int32_t weight = down.weights[size_t(y) * down.stride + k];
      const uint8_t* in = between.data() + size_t(down.first[y] - top + k) * row;
      for (size_t x = 0; x < row; ++x) sums[x] += weight * in[x];
    }
    uint8_t* out = result.row(y);
    for (size_t x = 0; x < row; ++x) out[x] = rounded(sums[x]);
  }
  return result;
}

Image crop(const Image& image, int x, int y, int width, int height) {
  check_image("crop", image);
  check(x >= 0 && y >= 0 && width > 0 && height > 0 && x <= image.width - width && y <= image.height - height,
        "crop: ", width, "x", height, " at (", x, ",", y, ") is not inside ", image.width, "x", image.height);
  Image result{width, height, image.channels, {}};
  const size_t bytes = size_t(width) * image.channels;
  result.pixels.resize(bytes * height);
  for (int row = 0; row < height; ++row)
    std::memcpy(result.row(row), image.row(y + row) + size_t(x) * image.channels, bytes);
  return result;
}

Image center_crop(const Image& image, int width, int height) {
  return crop(image, (image.width - width) / 2, (image.height - height) / 2, width, height);
}

Image flip_horizontal(const Image& image) {
  check_image("flip_horizontal", image);
  return apply_orientation(image, 2);
}

Image apply_orientation(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  check_image("apply_orientation", image);
  const int w = image.width, h = image.height, channels = image.channels;
  const bool turned = orientation >= 5;
  Image upright{turned ? h : w, turned ? w : h, channels, {}};
  upright.pixels.resize(image.pixels.size());
  // 2 mirrored, 3 half turn, 4 upside down, 5 transposed, 6 needs a turn to the right, 7 transversed, 8 to
  // the left.
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  for (int y = 0; y < upright.height; ++y) {
    uint8_t* out = upright.row(y);
    for (int x = 0; x < upright.width; ++x) {
      const int along = turned ? y : x, down = turned ? x : y;
      const uint8_t* in =
          image.row(from_bottom ? h - 1 - down : down) + (from_right ? w - 1 - along : along) * channels;
      for (int c = 0; c < channels; ++c) *out++ = in[c];
    }
  }
  return upright;
}

Image to_grey(const Image& image) {
  check_image("to_grey", image);
  if (image.channels == 1) return image;
  Image grey{image.width, image.height, 1, {}};
  grey.pixels.resize(size_t(image.width) * image.height);
  const uint8_t* p = image.pixels.data();
  for (uint8_t& out : grey.pixels) {
    out = static_cast<uint8_t>((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16);
    p += 3;
  }
  return grey;
}

Image to_rgb(const Image& image) {
  check_image("to_rgb", image);
  if (image.channels == 3) return image;
  Image rgb{image.width, image.height, 3, {}};
  rgb.pixels.resize(image.pixels.size() * 3);
  uint8_t* out = rgb.pixels.data();
  for (const uint8_t grey : image.pixels) {
    out[0] = out[1] = out[2] = grey;
    out += 3;
  }
  return rgb;
}

}  // namespace tern
