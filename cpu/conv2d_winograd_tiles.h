#pragma once
// What the passes of the Winograd convolution share: how images are cut into tiles and how long sums are cut.

#include <algorithm>
#include <cstdint>

#include "tern/cpu/gemm_kernels.h"
#include "tern/cpu/winograd_kernels.h"
#include "tern/ops/conv2d.h"

namespace tern::cpu {

// out = 3x3 convolution of in; the data gradient is one too, over dy with reversed filters.
struct TiledConv {
  int64_t n, in_h, in_w, in_c, out_h, out_w, out_c, start_h, start_w;

  int64_t tiles_h() const { return (out_h + kTileSize - 1) / kTileSize; }
  int64_t tiles_w() const { return (out_w + kTileSize - 1) / kTileSize; }
  int64_t tiles() const { return n * tiles_h() * tiles_w(); }
  TileGrid in_grid() const { return {in_h, in_w, in_c, tiles_h(), tiles_w(), start_h, start_w}; }
  TileGrid out_grid() const { return {out_h, out_w, out_c, tiles_h(), tiles_w(), 0, 0}; }
};

inline TiledConv forward_conv(const Conv2dGeometry& g) {
  return {g.n, g.h, g.w, g.c, g.out_h, g.out_w, g.o, -g.padding.h, -g.padding.w};
}
inline TiledConv data_conv(const Conv2dGeometry& g) {
  return {g.n, g.out_h, g.out_w, g.o, g.h, g.w, g.c, g.padding.h - 2, g.padding.w - 2};
}

// Keeps neighbouring rows out of the same cache sets where there are many channels.
inline constexpr int64_t kCacheShift = 16;

// A sum of many products of mixed signs loses accuracy with its length, and Winograd's transforms magnify
// that: longer sums are cut into blocks of this many products.
inline constexpr int64_t kSumLength = 128;

// So few tiles that the filters or their gradients outweigh them.
inline constexpr int64_t kFewTiles = 128;

// One tile of a product, block by block; job.depth is the whole length.
inline void multiply_tile(TileKernel kernel, TileJob job, int64_t a_step, int64_t b_step) {
  const int64_t depth = job.depth;
  for (int64_t k = 0; k < depth; k += kSumLength) {
    job.depth = std::min(kSumLength, depth - k);
    kernel(job);
    job.a += kSumLength * a_step;
    job.b += kSumLength * b_step;
    job.accumulate = true;
  }
}

}  // namespace tern::cpu
