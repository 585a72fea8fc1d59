#pragma once
// Patches of an image batch as rows of a matrix that is never stored.

#include <cstdint>

namespace tern::cpu {

// Row (n, i, j) of the matrix is the patch of pixels (i step_h + start_h + p delta_h, j step_w + start_w + q
// delta_w) of image n, in the order (p, q, channel); pixels outside of the image are 0. Forward convolution
// walks over x like this; the data gradient walks over dy, once per residue of the pixel position modulo the
// stride.
template <class T>
struct PatchGridOf {
  const T* image;         // first channel of the group
  int64_t images, h, w;   // of the batch that is read
  int64_t pixel;          // elements from one pixel to the next
  int64_t channels;       // of the group
  int64_t rows, columns;  // grid positions (i, j)
  int64_t step_h, step_w, start_h, start_w;
  int64_t taps_h, taps_w, delta_h, delta_w;

  int64_t count() const { return images * rows * columns; }
  int64_t patch() const { return taps_h * taps_w * channels; }
};
using PatchGrid = PatchGridOf<float>;

// Where a copy of rows goes: `width` pixels of `pitch` floats a row, of which `channels` are written.
struct PaddedLayout {
  int64_t channels, pitch, width;
};

struct ConvKernels {
  // Rows [h, h + rows) of image n, from column grid.start_w on; what lies outside of the image is 0.
  // image points to the first channel to copy of the batch.
  void (*pad_rows)(const PatchGrid& grid, const float* image, int64_t n, int64_t h, int64_t rows,
                   const PaddedLayout& layout, float* to);
  // sums[c] (+)= sum over rows of x[row * ld + c].
  void (*sum_rows)(const float* x, int64_t ld, int64_t rows, int64_t columns, float* sums);
};

const ConvKernels& conv_kernels();

namespace baseline {
extern const ConvKernels conv_table;
}
namespace avx2 {
extern const ConvKernels conv_table;
}
namespace avx512 {
extern const ConvKernels conv_table;
}

}  // namespace tern::cpu
