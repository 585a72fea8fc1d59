#pragma once
// Matrix tiles: eight registers of 16 rows of 64 bytes, and C += A B on them. The one place of the project
// that names machine instructions; included only by *_kernels.cpp files.
//
//   A  16 rows of 32 bf16             row i, depth k at 32 i + k
//   B  16 pairs of depths x 16 columns of bf16 pairs      depth k, column j at 32 (k / 2) + 2 j + k % 2
//   C  16 rows of 16 f32              C[i,j] += sum over k of A[i,k] B[k,j]
//
// Where the compiler offers AMX (the build of the instruction set amx; it runs only where the operating
// system grants the tiles, see cpu/isa.cpp) these are the processor's TDPBF16PS and its companions. Elsewhere
// a plain twin computes the same: per element the even and the odd depths are two chains of fused
// multiply-adds from 0, which are added, and their sum is added to C. Both treat subnormal numbers as 0, so
// that packing, indices and bits can be tested on every processor.
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, TDPBF16PS.

#include <cstdint>

#include "tern/cpu/vec.h"

namespace tern::cpu::TERN_ISA {

inline constexpr int kTileRows = 16;   // of A and C; columns of B and C
inline constexpr int kTileDepth = 32;  // columns of A, rows of B
inline constexpr int kTileBytes = 64;  // of a row

#if defined(__AMX_BF16__)

// Holds the calling thread's tile registers, all of the full size.
class Tiles {
 public:
  TERN_INLINE Tiles() {
    struct alignas(64) Shape {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    };
    const Shape shape;
    asm volatile("ldtilecfg %0" ::"m"(shape));
  }
  TERN_INLINE ~Tiles() { asm volatile("tilerelease"); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  template <int kTile>
  TERN_INLINE void zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
  }
  // Rows `stride` bytes apart.
  template <int kTile>
  TERN_INLINE void load(const void* from, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(kTile) : "memory");
  }
  template <int kTile>
  TERN_INLINE void store(void* to, int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(kTile) : "memory");
  }
  template <int kC, int kA, int kB>
  TERN_INLINE void multiply_add() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kC), "i"(kA), "i"(kB));
  }
};

#else

class Tiles {
 public:
  template <int kTile>
  void zero() {
    for (int i = 0; i < kTileRows * kTileBytes; ++i) bytes_[kTile][i] = 0;
  }
  template <int kTile>
  void load(const void* from, int64_t stride) {
    for (int row = 0; row < kTileRows; ++row)
      __builtin_memcpy(bytes_[kTile] + row * kTileBytes, static_cast<const char*>(from) + row * stride,
                       kTileBytes);
  }
  template <int kTile>
  void store(void* to, int64_t stride) {
    for (int row = 0; row < kTileRows; ++row)
      __builtin_memcpy(static_cast<char*>(to) + row * stride, bytes_[kTile] + row * kTileBytes, kTileBytes);
  }
  template <int kC, int kA, int kB>
  void multiply_add() {
    const auto* a = reinterpret_cast<const bfloat16*>(bytes_[kA]);
    const auto* b = reinterpret_cast<const bfloat16*>(bytes_[kB]);
    auto* c = reinterpret_cast<float*>(bytes_[kC]);
    float wide[kTileDepth * kTileRows];  // B: [k][j]
    for (int k = 0; k < kTileDepth; ++k)
      for (int j = 0; j < kTileRows; ++j)
        wide[k * kTileRows + j] = flushed(static_cast<float>(b[(k / 2 * kTileRows + j) * 2 + k % 2]));
    for (int i = 0; i < kTileRows; ++i) {
      float sums[2][kTileRows] = {};
      for (int k = 0; k < kTileDepth; ++k) {
        const float x = flushed(static_cast<float>(a[i * kTileDepth + k]));
        float* sum = sums[k % 2];
        for (int j = 0; j < kTileRows; ++j)
          sum[j] = flushed(__builtin_fmaf(x, wide[k * kTileRows + j], sum[j]));
      }
      float* out = c + i * kTileRows;
      for (int j = 0; j < kTileRows; ++j)
        out[j] = flushed(flushed(out[j]) + flushed(sums[0][j] + sums[1][j]));
    }
  }

 private:
  TERN_INLINE static float flushed(float x) { return __builtin_fabsf(x) < 0x1p-126f ? 0 * x : x; }
  alignas(64) char bytes_[8][kTileRows * kTileBytes];
};

#endif

}  // namespace tern::cpu::TERN_ISA
