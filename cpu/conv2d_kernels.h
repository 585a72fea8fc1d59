#pragma once
// Patches of an image batch as rows of a matrix, gathered while they are multiplied and never stored as a
// whole.

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

struct ConvKernels {
  // Elements [k, k + depth) of the patches [row, row + rows): to packed + r * kRowStride.
  void (*pack_patches)(const PatchGrid& grid, int64_t row, int64_t rows, int64_t k, int64_t depth,
                       float* packed);
  // The same elements in panels of kNr columns: element (r, k) goes to panel k / kNr, step r. Zero to the
  // right.
  void (*pack_patch_panels)(const PatchGrid& grid, int64_t row, int64_t rows, int64_t k, int64_t columns,
                            float* panels);
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
