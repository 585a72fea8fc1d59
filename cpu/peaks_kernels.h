#pragma once
// Loops that measure what the machine can do at best: the yardstick of `tern bench`. n is a multiple of 1024.

#include <cstdint>

namespace tern::cpu {

struct PeaksKernels {
  // Runs independent chains of multiply-adds on registers; returns a value that depends on all of them.
  float (*multiply_add)(int64_t rounds);
  int64_t flops_per_round;
  float (*read)(const float* x, int64_t n);                            // the sum of x
  void (*copy)(const float* x, int64_t n, float* y);                   // y = x
  void (*triad)(const float* x, const float* y, int64_t n, float* z);  // z = x + 3 y
};

// The same on matrix tiles (cpu/tile.h), for bf16.
struct PeaksTileKernels {
  float (*multiply_add)(int64_t rounds);
  int64_t flops_per_round;
};

namespace baseline {
extern const PeaksKernels peaks_table;
extern const PeaksTileKernels peaks_tile_table;
}  // namespace baseline
namespace avx2 {
extern const PeaksKernels peaks_table;
extern const PeaksTileKernels peaks_tile_table;
}  // namespace avx2
namespace avx512 {
extern const PeaksKernels peaks_table;
extern const PeaksTileKernels peaks_tile_table;
}  // namespace avx512
namespace amx {
extern const PeaksTileKernels peaks_tile_table;
}

}  // namespace tern::cpu
