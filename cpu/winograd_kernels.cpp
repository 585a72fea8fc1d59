#include "tern/cpu/winograd_kernels.h"

#include "tern/cpu/gemm_kernels.h"
#include "tern/cpu/vec.h"

namespace tern::cpu::TERN_ISA {
namespace {

using V = Vec<float>;
constexpr int kLanes = V::kLanes;
constexpr int kPanel = (kVectorBytes == 64 ? 4 : 2) * kLanes;

constexpr float kZeros[kMaxDepth] = {};  // what lies outside of the images

// The one-dimensional transforms, each from `in` values at distance kIn to `out` values at distance kOut.
template <int kIn, int kOut>
struct Evaluate6 {  // B^T, 6 -> 6
  TERN_INLINE static void run(const V* d, V* t) {
    const V d1 = d[kIn], d2 = d[2 * kIn], d3 = d[3 * kIn], d4 = d[4 * kIn];
    const V a = d4 - V(4.0f) * d2, b = d3 - V(4.0f) * d1, c = d4 - d2, e = V(2.0f) * (d3 - d1);
    t[0] = V(4.0f) * d[0] - V(5.0f) * d2 + d4;
    t[kOut] = a + b;
    t[2 * kOut] = a - b;
    t[3 * kOut] = c + e;
    t[4 * kOut] = c - e;
    t[5 * kOut] = V(4.0f) * d1 - V(5.0f) * d3 + d[5 * kIn];
  }
};

template <int kIn, int kOut>
struct Evaluate3 {  // G, 3 -> 6
  TERN_INLINE static void run(const V* g, V* t) {
    const V g0 = g[0], g1 = g[kIn], g2 = g[2 * kIn];
    const V even = V(-1.0f / 6) * (g0 + g2), odd = V(-1.0f / 6) * g1;
    const V even2 = V(1.0f / 24) * g0 + V(1.0f / 6) * g2, odd2 = V(1.0f / 12) * g1;
    t[0] = V(0.25f) * g0;
    t[kOut] = even + odd;
    t[2 * kOut] = even - odd;
    t[3 * kOut] = even2 + odd2;
    t[4 * kOut] = even2 - odd2;
    t[5 * kOut] = g2;
  }
};

template <int kIn, int kOut>
struct Evaluate4 {  // G', 4 -> 6
  TERN_INLINE static void run(const V* g, V* t) {
    const V g0 = g[0], g1 = g[kIn], g2 = g[2 * kIn], g3 = g[3 * kIn];
    const V even = V(-1.0f / 6) * (g0 + g2), odd = V(-1.0f / 6) * (g1 + g3);
    const V even2 = V(1.0f / 24) * g0 + V(1.0f / 6) * g2, odd2 = V(1.0f / 12) * g1 + V(1.0f / 3) * g3;
    t[0] = V(0.25f) * g0;
    t[kOut] = even + odd;
    t[2 * kOut] = even - odd;
    t[3 * kOut] = even2 + odd2;
    t[4 * kOut] = even2 - odd2;
    t[5 * kOut] = g3;
  }
};

template <int kIn, int kOut>
struct Interpolate4 {  // A^T, 6 -> 4
  TERN_INLINE static void run(const V* m, V* y) {
    const V s1 = m[kIn] + m[2 * kIn], d1 = m[kIn] - m[2 * kIn];
    const V s2 = m[3 * kIn] + m[4 * kIn], d2 = m[3 * kIn] - m[4 * kIn];
    y[0] = m[0] + s1 + s2;
    y[kOut] = d1 + V(2.0f) * d2;
    y[2 * kOut] = s1 + V(4.0f) * s2;
    y[3 * kOut] = d1 + V(8.0f) * d2 + m[5 * kIn];
  }
};

template <int kIn, int kOut>
struct Interpolate3 {  // A'^T, 6 -> 3
  TERN_INLINE static void run(const V* m, V* y) {
    const V s1 = m[kIn] + m[2 * kIn], d1 = m[kIn] - m[2 * kIn];
    const V s2 = m[3 * kIn] + m[4 * kIn], d2 = m[3 * kIn] - m[4 * kIn];
    y[0] = m[0] + s1 + s2;
    y[kOut] = d1 + V(2.0f) * d2;
    y[2 * kOut] = s1 + V(4.0f) * s2 + m[5 * kIn];
  }
};

// T X T^T of a kIn x kIn block of vectors in rows of kIn; the result has rows of kOut.
template <template <int, int> class Transform, int kIn, int kOut>
TERN_INLINE void both_ways(const V* x, V* y) {
  V half[kOut * kIn];
#pragma GCC unroll 6
  for (int j = 0; j < kIn; ++j) Transform<kIn, kIn>::run(x + j, half + j);
#pragma GCC unroll 6
  for (int i = 0; i < kOut; ++i) Transform<1, 1>::run(half + i * kIn, y + i * kOut);
}

struct Position {
  int64_t n, h, w;
  TERN_INLINE Position(const TileGrid& g, int64_t tile)
      : n(tile / (g.tiles_h * g.tiles_w)),
        h(tile / g.tiles_w % g.tiles_h * kTileSize + g.start_h),
        w(tile % g.tiles_w * kTileSize + g.start_w) {}
};

// Blocks of kSize x kSize pixels, transformed to 36 components.
template <template <int, int> class Transform, int kSize>
TERN_INLINE void evaluate(const TileGrid& g, const float* image, int64_t first, int64_t count,
                          ComponentLayout to, float* v) {
  for (int64_t t = 0; t < count; ++t) {
    const Position at(g, first + t);
    const float* pixel[kSize * kSize];
    for (int i = 0; i < kSize; ++i)
      for (int j = 0; j < kSize; ++j) {
        const bool inside = at.h + i >= 0 && at.h + i < g.h && at.w + j >= 0 && at.w + j < g.w;
        pixel[i * kSize + j] = inside ? image + ((at.n * g.h + at.h + i) * g.w + at.w + j) * g.c : kZeros;
      }
    for (int64_t c = 0; c < g.c; c += kLanes) {
      V x[kSize * kSize], y[kComponents];
#pragma GCC unroll 36
      for (int i = 0; i < kSize * kSize; ++i) x[i] = V::load(pixel[i] + c);
      both_ways<Transform, kSize, 6>(x, y);
      float* out = v + t * to.tile + c / kPanel * to.panel + c % kPanel;
#pragma GCC unroll 36
      for (int k = 0; k < kComponents; ++k) y[k].store(out + k * to.component);
    }
  }
}

void patches(const TileGrid& g, const float* x, int64_t first, int64_t count, ComponentLayout to, float* v) {
  evaluate<Evaluate6, 6>(g, x, first, count, to, v);
}

void tiles(const TileGrid& g, const float* dy, int64_t first, int64_t count, ComponentLayout to, float* v) {
  evaluate<Evaluate4, 4>(g, dy, first, count, to, v);
}

void outputs(const TileGrid& g, const float* m, int64_t component, const float* bias, int64_t first,
             int64_t count, float* y) {
  for (int64_t t = 0; t < count; ++t) {
    const Position at(g, first + t);
    const int64_t rows = g.h - at.h < kTileSize ? g.h - at.h : kTileSize;
    const int64_t columns = g.w - at.w < kTileSize ? g.w - at.w : kTileSize;
    float* tile = y + ((at.n * g.h + at.h) * g.w + at.w) * g.c;
    const Position after(g, first + t + 1);  // what will be written there is asked for
    const float* next = t + 1 < count ? y + ((after.n * g.h + after.h) * g.w + after.w) * g.c : nullptr;
    for (int64_t c = 0; c < g.c; c += kLanes) {
      for (int64_t i = 0; next && i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j) __builtin_prefetch(next + (i * g.w + j) * g.c + c, 1, 3);
      V x[kComponents], out[16];
#pragma GCC unroll 36
      for (int k = 0; k < kComponents; ++k) x[k] = V::load(m + k * component + t * g.c + c);
      both_ways<Interpolate4, 6, 4>(x, out);
      const V start = bias ? V::load(bias + c) : V(0.0f);
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j) (out[i * 4 + j] + start).store(tile + (i * g.w + j) * g.c + c);
    }
  }
}

void filter(const float* g, int64_t g_tap, int64_t channels, bool reversed, int64_t component, float* u) {
  for (int64_t c = 0; c < channels; c += kLanes) {
    V x[9], y[kComponents];
    for (int k = 0; k < 9; ++k) x[k] = V::load(g + (reversed ? 8 - k : k) * g_tap + c);
    both_ways<Evaluate3, 3, 6>(x, y);
#pragma GCC unroll 36
    for (int k = 0; k < kComponents; ++k) y[k].store(u + k * component + c);
  }
}

void gradient(const float* m, int64_t component, int64_t channels, int64_t dw_tap, float* dw) {
  for (int64_t c = 0; c < channels; c += kLanes) {
    V x[kComponents], y[9];
#pragma GCC unroll 36
    for (int k = 0; k < kComponents; ++k) x[k] = V::load(m + k * component + c);
    both_ways<Interpolate3, 6, 3>(x, y);
    for (int k = 0; k < 9; ++k) y[k].store(dw + k * dw_tap + c);
  }
}

}  // namespace

constinit const WinogradKernels winograd_table = {patches, tiles, outputs, filter, gradient};

}  // namespace tern::cpu::TERN_ISA
