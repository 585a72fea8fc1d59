#pragma once
// Vector code of pooling, for activations T = float or bfloat16: vectors run over the channels. A kernel
// computes one row of its result; x, dy and index point at the image, the result at the row.

#include <cstdint>

#include "tern/core/dtype.h"

namespace tern::cpu {

struct Pool2dSizes {
  int64_t height, width, channels, out_height, out_width, kernel, stride, padding;
  bool count_include_pad;
};

template <class T>
struct Pool2dKernelsOf {
  void (*max_forward)(const Pool2dSizes& s, const T* x, int64_t oh, T* y,
                      uint8_t* index);  // index: or null
  void (*max_backward)(const Pool2dSizes& s, const T* dy, const uint8_t* index, int64_t ih, T* dx);
  void (*average_forward)(const Pool2dSizes& s, const T* x, int64_t oh, T* y);
  void (*average_backward)(const Pool2dSizes& s, const T* dy, int64_t ih, T* dx);
  // y[c] = mean over pixels of x[pixel,c], for some channels of rows `stride` apart; and its gradient.
  void (*mean_forward)(int64_t pixels, int64_t channels, int64_t stride, const T* x, T* y);
  void (*mean_backward)(int64_t pixels, int64_t channels, int64_t stride, const T* dy, T* dx);
};
struct Pool2dKernels : Pool2dKernelsOf<float>, Pool2dKernelsOf<bfloat16> {};

namespace baseline {
extern const Pool2dKernels pool2d_table;
}
namespace avx2 {
extern const Pool2dKernels pool2d_table;
}
namespace avx512 {
extern const Pool2dKernels pool2d_table;
}

}  // namespace tern::cpu
