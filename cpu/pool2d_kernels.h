#pragma once
// Vector code of pooling: vectors run over the channels. A kernel computes one row of its result; x, dy and
// index point at the image, the result at the row.

#include <cstdint>

namespace tern::cpu {

struct Pool2dSizes {
  int64_t height, width, channels, out_height, out_width, kernel, stride, padding;
  bool count_include_pad;
};

struct Pool2dKernels {
  void (*max_forward)(const Pool2dSizes& s, const float* x, int64_t oh, float* y,
                      uint8_t* index);  // index: or null
  void (*max_backward)(const Pool2dSizes& s, const float* dy, const uint8_t* index, int64_t ih, float* dx);
  void (*average_forward)(const Pool2dSizes& s, const float* x, int64_t oh, float* y);
  void (*average_backward)(const Pool2dSizes& s, const float* dy, int64_t ih, float* dx);
  // y[c] = mean over pixels of x[pixel,c], for some channels of rows `stride` apart; and its gradient.
  void (*mean_forward)(int64_t pixels, int64_t channels, int64_t stride, const float* x, float* y);
  void (*mean_backward)(int64_t pixels, int64_t channels, int64_t stride, const float* dy, float* dx);
};

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
