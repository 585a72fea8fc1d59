#pragma once
// Row kernel of augment (cpu/augment_kernels.cpp), one table per instruction set.

#include <cstdint>

namespace tern::cpu {

// Scratch that a row needs, in int32 per output pixel.
inline constexpr int kAugmentScratch = 9;

// One photo and its row of the table, in the units of ops/augment_formula.h.
struct AugmentJob {
  const uint8_t* photo;  // [height, width, channels]; the 3 bytes after it may be read
  int32_t height, width, channels, size;
  int32_t m00, m01, tx, m10, m11, ty;
  int32_t gain, bias, saturation;
  int32_t erase_x0, erase_y0, erase_x1, erase_y1;  // inside the output, x0 <= x1
  int32_t colour;
  float mean[3], std[3];
  int32_t* scratch;  // kAugmentScratch * size
};

struct AugmentKernels {
  void (*row)(const AugmentJob& job, int32_t oy, float* out);
};

namespace baseline {
extern const AugmentKernels augment_table;
}
namespace avx2 {
extern const AugmentKernels augment_table;
}
namespace avx512 {
extern const AugmentKernels augment_table;
}

}  // namespace tern::cpu
