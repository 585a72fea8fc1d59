#include "tern/cpu/gemm_tile_kernels.h"

#include "tern/cpu/patches.h"
#include "tern/cpu/tile.h"
#include "tern/cpu/transpose.h"
#include "tern/cpu/vec.h"

namespace tern::cpu::TERN_ISA {
namespace {

using V = Vec<float>;
constexpr int kLanes = V::kLanes;
constexpr int64_t kSumsStride = kTileBlock * sizeof(float);
constexpr int64_t kTileElements = kTileRows * kTileDepth;

// --- the product ---

// Where the steps of a block lie: one behind the other, or scattered.
struct Sequence {
  const char* a;
  int64_t stride;
  const bfloat16* b;
  TERN_INLINE const char* a_of(int64_t k) const { return a + k * kTileBytes; }
  TERN_INLINE const char* low_a_of(int64_t k) const { return a + k * kTileBytes + kTileRows * stride; }
  TERN_INLINE const bfloat16* b_of(int64_t k) const { return b + k * kTilePanelStep; }
};
struct Scattered {
  const bfloat16* a;
  const bfloat16* b;
  const int32_t* a_at;
  const int32_t* b_at;
  static constexpr int64_t stride = kTileBytes;
  TERN_INLINE const bfloat16* a_of(int64_t k) const { return a + a_at[k]; }
  TERN_INLINE const bfloat16* low_a_of(int64_t k) const { return a + a_at[k] + kTileElements; }
  TERN_INLINE const bfloat16* b_of(int64_t k) const { return b + b_at[k]; }
};

template <int kRowTiles, int kColumnTiles, class Steps>
TERN_INLINE void multiply_block(Tiles& t, const Steps& at, int64_t steps, bool first, float* sums) {
  constexpr bool kLow = kRowTiles == 2, kRight = kColumnTiles == 2;
  float* low = sums + kTileRows * kTileBlock;
  if (first) {
    t.zero<0>();
    if constexpr (kRight) t.zero<1>();
    if constexpr (kLow) t.zero<2>();
    if constexpr (kLow && kRight) t.zero<3>();
  } else {
    t.load<0>(sums, kSumsStride);
    if constexpr (kRight) t.load<1>(sums + kTileRows, kSumsStride);
    if constexpr (kLow) t.load<2>(low, kSumsStride);
    if constexpr (kLow && kRight) t.load<3>(low + kTileRows, kSumsStride);
  }
  for (int64_t k = 0; k < steps; ++k) {
    const bfloat16* b = at.b_of(k);
    t.load<4>(at.a_of(k), at.stride);
    t.load<6>(b, kTileBytes);
    t.multiply_add<0, 4, 6>();
    if constexpr (kRight) {
      t.load<7>(b + kTileElements, kTileBytes);
      t.multiply_add<1, 4, 7>();
    }
    if constexpr (kLow) {
      t.load<5>(at.low_a_of(k), at.stride);
      t.multiply_add<2, 5, 6>();
      if constexpr (kRight) t.multiply_add<3, 5, 7>();
    }
  }
  t.store<0>(sums, kSumsStride);
  if constexpr (kRight) t.store<1>(sums + kTileRows, kSumsStride);
  if constexpr (kLow) t.store<2>(low, kSumsStride);
  if constexpr (kLow && kRight) t.store<3>(low + kTileRows, kSumsStride);
}

// The block of as many tiles as rows and columns ask for.
template <class Steps>
TERN_INLINE void multiply_part(Tiles& t, const Steps& at, int64_t steps, int64_t rows, int64_t columns,
                               bool first, float* sums) {
  if (rows > kTileRows) {
    if (columns > kTileRows) multiply_block<2, 2>(t, at, steps, first, sums);
    else multiply_block<2, 1>(t, at, steps, first, sums);
  } else {
    if (columns > kTileRows) multiply_block<1, 2>(t, at, steps, first, sums);
    else multiply_block<1, 1>(t, at, steps, first, sums);
  }
}

// sums + bias to the rows of C.
template <class T>
TERN_INLINE void store_block(const TileProduct& p, const float* sums, int64_t row, int64_t rows,
                             int64_t column, int64_t columns) {
  const float* bias = p.bias ? p.bias + column : nullptr;
  for (int64_t r = 0; r < rows; ++r) {
    T* out = static_cast<T*>(p.out[row + r]) + p.column + column;
    const float* from = sums + r * kTileBlock;
    int64_t j = 0;
    for (; j + kLanes <= columns; j += kLanes) {
      V sum = V::load(from + j);
      if (bias) sum += V::load(bias + j);
      sum.store(out + j);
    }
    if (j < columns) {
      V sum = V::load(from + j);
      if (bias) sum += V::load_partial(bias + j, columns - j);
      sum.store_partial(out + j, columns - j);
    }
  }
}

void multiply(const TileProduct& p) {
  Tiles tiles;
  alignas(64) float own[kTileBlock * kTileBlock];
  const int64_t blocks = (p.rows + kTileBlock - 1) / kTileBlock;
  for (int64_t panel = 0; panel < p.panels; ++panel) {
    const int64_t column = panel * kTileBlock, columns = smaller(kTileBlock, p.columns - column);
    const bfloat16* b = p.b + panel * p.panel;
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t row = block * kTileBlock, rows = smaller(kTileBlock, p.rows - row);
      const char* a = reinterpret_cast<const char*>(p.a) + row * p.a_stride;
      float* sums = p.first && p.last ? own : p.sums + (panel * blocks + block) * kTileBlock * kTileBlock;
      multiply_part(tiles, Sequence{a, p.a_stride, b}, p.steps, rows, columns, p.first, sums);
      if (!p.last) continue;
      if (p.out_bf16) store_block<bfloat16>(p, sums, row, rows, column, columns);
      else store_block<float>(p, sums, row, rows, column, columns);
    }
  }
}

void multiply_scattered(const TileScatter& p) {
  Tiles tiles;
  alignas(64) float own[kTileBlock * kTileBlock];
  float* sums = p.sums;
  for (int64_t row = 0; row < p.rows; row += kTileBlock)
    for (int64_t column = 0; column < p.columns; column += kTileBlock, sums += kTileBlock * kTileBlock) {
      const int64_t rows = smaller(kTileBlock, p.rows - row),
                    columns = smaller(kTileBlock, p.columns - column);
      const Scattered at{p.a + row * kTileDepth, p.b + column * kTileDepth, p.a_at, p.b_at};
      float* block = p.first && p.last ? own : sums;
      multiply_part(tiles, at, p.steps, rows, columns, p.first, block);
      if (!p.last) continue;
      for (int64_t r = 0; r < rows; ++r) {
        float* out = p.out + (row + r) * p.ld + column;
        const float* from = block + r * kTileBlock;
        int64_t j = 0;
        for (; j + kLanes <= columns; j += kLanes) V::load(from + j).store(out + j);
        if (j < columns) V::load(from + j).store_partial(out + j, columns - j);
      }
    }
}

// --- packing ---

// 16 rows of 16 words, transposed.
TERN_INLINE void transpose_words(const uint32_t* from, int64_t from_stride, uint32_t* to, int64_t to_stride) {
  for (int i = 0; i < kTileRows; i += kLanes)
    for (int j = 0; j < kTileRows; j += kLanes) {
      V::Raw rows[kLanes];
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r)
        __builtin_memcpy(&rows[r], from + (i + r) * from_stride + j, kVectorBytes);
      transpose_square(rows);
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r) __builtin_memcpy(to + (j + r) * to_stride + i, &rows[r], kVectorBytes);
    }
}

// The words whose lower halves are 16 columns of one row of bf16 and whose upper halves those of the next.
// A row that is null counts as 0.
template <bool kWhole, class T>
TERN_INLINE void pair_rows(const T* even, const T* odd, int64_t columns, uint32_t* to) {
  for (int j = 0; j < kTileRows; j += kLanes) {
    const auto load = [&](const T* row) __attribute__((always_inline)) {
      if (!row) return V(0.0f);
      if constexpr (kWhole) return V::load(row + j);
      const int64_t n = columns - j;
      return n >= kLanes ? V::load(row + j) : n <= 0 ? V(0.0f) : V::load_partial(row + j, n);
    };
    const U32Lanes low = rounded_bf16(load(even).v), high = rounded_bf16(load(odd).v);
    const U32Lanes word = (high & 0xffff0000u) | (low >> 16);
    __builtin_memcpy(to + j, &word, kVectorBytes);
  }
}

// Whole rows of bf16: one shuffle.
TERN_INLINE void interleave_rows(const bfloat16* even, const bfloat16* odd, uint32_t* to) {
  typedef uint16_t Row __attribute__((vector_size(kTileRows * sizeof(uint16_t))));
  Row low, high;
  __builtin_memcpy(&low, even, sizeof low);
  __builtin_memcpy(&high, odd, sizeof high);
  const auto words =
      __builtin_shufflevector(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25,
                              10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  __builtin_memcpy(to, &words, sizeof words);
}

template <class T>
TERN_INLINE void pair_rows(const T* even, const T* odd, int64_t columns, uint32_t* to) {
  if constexpr (sizeof(T) == sizeof(bfloat16)) {
    if (columns >= kTileRows && even && odd) return interleave_rows(even, odd, to);
  }
  if (columns >= kTileRows) pair_rows<true>(even, odd, columns, to);
  else pair_rows<false>(even, odd, columns, to);
}

template <class T>
TERN_INLINE void pack_rows_ahead(const T* src, int64_t ld, int64_t depth, int64_t columns, int64_t ahead,
                                 bfloat16* panel) {
  auto* to = reinterpret_cast<uint32_t*>(panel);
  const int64_t steps = (depth + kTileStep - 1) / kTileStep;
  for (int64_t step = 0; step < steps; ++step)
    for (int64_t tile = 0; tile < 2; ++tile) {
      const int64_t first = tile * kTileRows;
      for (int64_t pair = 0; pair < kTileRows; ++pair, to += kTileRows) {
        const int64_t k = step * kTileStep + 2 * pair;
        const T* even = k < depth && first < columns ? src + k * ld + first : nullptr;
        const T* odd = k + 1 < depth && first < columns ? src + (k + 1) * ld + first : nullptr;
        if (ahead != 0 && tile == 0) {
          __builtin_prefetch(src + k * ld + ahead);
          __builtin_prefetch(src + (k + 1) * ld + ahead);
        }
        pair_rows(even, odd, columns - first, to);
      }
    }
}

void pack_rows(const float* src, int64_t ld, int64_t depth, int64_t columns, bfloat16* panel) {
  pack_rows_ahead(src, ld, depth, columns, 0, panel);
}

void interleave(const bfloat16* src, int64_t ld, int64_t depth, int64_t columns, int64_t ahead,
                bfloat16* panel) {
  pack_rows_ahead(src, ld, depth, columns, ahead, panel);
}

void pack_transposed(const float* src, int64_t ld, int64_t depth, int64_t columns, bfloat16* panel) {
  const int64_t steps = (depth + kTileStep - 1) / kTileStep;
  for (int64_t step = 0; step < steps; ++step)
    for (int64_t tile = 0; tile < 2; ++tile, panel += kTileElements) {
      alignas(64) bfloat16 rows[kTileElements] = {};  // 16 columns of B, 32 depths each
      const int64_t k = step * kTileStep, n = smaller(kTileStep, depth - k);
      for (int64_t j = tile * kTileRows, r = 0; r < kTileRows && j < columns; ++j, ++r) {
        const float* from = src + j * ld + k;
        int64_t i = 0;
        for (; i + kLanes <= n; i += kLanes) V::load(from + i).store(rows + r * kTileDepth + i);
        if (i < n) V::load_partial(from + i, n - i).store_partial(rows + r * kTileDepth + i, n - i);
      }
      transpose_words(reinterpret_cast<const uint32_t*>(rows), kTileRows, reinterpret_cast<uint32_t*>(panel),
                      kTileRows);
    }
}

void transpose(const bfloat16* src, int64_t ld, int64_t depth, int64_t rows, int64_t ahead, bfloat16* packed,
               int64_t stride) {
  alignas(64) uint32_t words[kTileRows * kTileRows];  // [pair of depths][row of A]
  for (int64_t k = 0; k < depth; k += kTileStep)
    for (int64_t row = 0; row < rows; row += kTileRows) {
      for (int64_t pair = 0; pair < kTileRows; ++pair) {
        const bfloat16* even = src + (k + 2 * pair) * ld + row;
        if (row % kTileBlock == 0) {
          __builtin_prefetch(even + ahead);
          __builtin_prefetch(even + ld + ahead);
        }
        pair_rows(k + 2 * pair < depth ? even : nullptr, k + 2 * pair + 1 < depth ? even + ld : nullptr,
                  rows - row, words + pair * kTileRows);
      }
      transpose_words(words, kTileRows, reinterpret_cast<uint32_t*>(packed + row * stride + k), stride / 2);
    }
}

void gather_patches(const PatchGridOf<bfloat16>& g, int64_t row, int64_t rows, int64_t k, int64_t depth,
                    bfloat16* packed, int64_t stride) {
  const Runs runs(g);
  Cursor at(g, row);
  const int64_t whole = (depth + kTileStep - 1) / kTileStep * kTileStep;
  for (int64_t r = 0; r < rows; ++r, at.next(g), packed += stride) {
    if (depth > 0) gather(g, runs, at, k, k + depth, packed);
    if (whole > depth) zero(packed + depth, whole - depth);
  }
}

}  // namespace

constinit const TileKernels tile_table = {multiply,   multiply_scattered, pack_rows,     pack_transposed,
                                          interleave, transpose,          gather_patches};

}  // namespace tern::cpu::TERN_ISA
