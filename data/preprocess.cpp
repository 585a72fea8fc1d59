#include "tern/data/preprocess.h"

#include <algorithm>
#include <cmath>

#include "tern/core/error.h"

namespace tern {

void check_preprocess(const Preprocess& p) {
  check(p.size >= 1 && p.size <= 1024, "preprocess: size ", p.size, " is not within 1 .. 1024");
  check(p.channels == 1 || p.channels == 3, "preprocess: ", p.channels, " channels; 1 (grey) or 3 (RGB)");
  check(p.crop > 0 && p.crop <= 2, "preprocess: crop ", p.crop, " is not within (0, 2]");
  for (int c = 0; c < 3; ++c)
    check(std::isfinite(p.mean[c]) && std::isfinite(p.std[c]) && p.std[c] > 0, "preprocess: channel ", c,
          " has mean ", p.mean[c], " and std ", p.std[c], "; both finite, std positive");
}

Image prepare(const Image& image, const Preprocess& preprocess, int margin) {
  check_preprocess(preprocess);
  check(margin >= 0 && margin <= 512, "prepare: margin ", margin, " is not within 0 .. 512");
  const double side = preprocess.crop * std::min(image.width, image.height);
  const int out = preprocess.size + 2 * margin;
  const double half = side / 2 * out / preprocess.size;
  const double x = image.width / 2.0, y = image.height / 2.0;
  const Box box{x - half, y - half, x + half, y + half};
  if (image.channels == preprocess.channels) return resize(image, out, out, box);
  // Grey first: a third of the work. Colour last: the three channels are equal.
  if (preprocess.channels == 1) return resize(to_grey(image), out, out, box);
  return to_rgb(resize(image, out, out, box));
}

int decode_side(const Preprocess& preprocess) {
  return static_cast<int>(std::ceil(2 * preprocess.size / preprocess.crop));
}

Tensor normalize(std::span<const Image> prepared, const Preprocess& preprocess) {
  check_preprocess(preprocess);
  const int size = preprocess.size, channels = preprocess.channels;
  Tensor y = Tensor::empty({static_cast<int64_t>(prepared.size()), size, size, channels});
  float* out = y.mutable_data<float>();
  for (const Image& image : prepared) {
    check<ShapeError>(image.width == size && image.height == size && image.channels == channels,
                      "normalize: a photo of ", image.width, "x", image.height, "x", image.channels,
                      ", expected ", size, "x", size, "x", channels, "; hint: prepare() it first");
    const uint8_t* p = image.pixels.data();
    for (int i = 0; i < size * size; ++i)
      for (int c = 0; c < channels; ++c)
        *out++ = (static_cast<float>(*p++) / 255.0f - preprocess.mean[c]) / preprocess.std[c];
  }
  return y;
}

}  // namespace tern
