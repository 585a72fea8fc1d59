#pragma once
// From a photo of any size to the square a model takes. What is done is part of the model file: training,
// evaluation and `tern verify` prepare a photo with the same few numbers.
//
//   photo -> central square (crop * shorter side) -> grey or RGB -> antialiased resize to size x size
//         -> (x / 255 - mean[c]) / std[c]

#include <array>
#include <cstdint>
#include <span>

#include "tern/core/tensor.h"
#include "tern/data/image.h"

namespace tern {

struct Preprocess {
  int size = 64;     // the side of what the model sees
  int channels = 3;  // 1: grey, 3: RGB; photos are converted
  // The side of the central square, as a fraction of the photo's shorter side. Above 1 it reaches beyond the
  // photo, whose edge pixels are repeated there: a photo that is not square can be seen whole.
  double crop = 1.0;
  std::array<float, 3> mean = {.5f, .5f, .5f};
  std::array<float, 3> std = {.5f, .5f, .5f};

  friend bool operator==(const Preprocess&, const Preprocess&) = default;
};

// Throws UsageError unless size is 1 .. 1024, channels 1 or 3, 0 < crop <= 2, mean finite and std positive.
void check_preprocess(const Preprocess& preprocess);

// The photo as 8-bit pixels, (size + 2 margin) square. The margin is context for augmentation: the photo
// continues beyond the crop at the same scale, its edge repeated where it ends. The middle size x size pixels
// are bit for bit what a margin of 0 gives.
Image prepare(const Image& image, const Preprocess& preprocess, int margin = 0);

// The side a decoder must keep when it reads at reduced scale (DecodeOptions::target_side): twice what the
// resize needs, so that the result hardly depends on it. The same for training and use.
int decode_side(const Preprocess& preprocess);

// Prepared photos (size x size, margin 0) as a normalised f32 batch [N,size,size,channels]. Every element is
// exactly (float(x) / 255 - mean) / std. Throws ShapeError if a photo has another size.
Tensor normalize(std::span<const Image> prepared, const Preprocess& preprocess);

}  // namespace tern
