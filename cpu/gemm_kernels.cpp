#include "tern/cpu/gemm_kernels.h"

#include "tern/cpu/transpose.h"
#include "tern/cpu/vec.h"

namespace tern::cpu::TERN_ISA {
namespace {

using V = Vec<float>;
using Raw = V::Raw;
constexpr int kLanes = V::kLanes;
// By rows two vectors wide, and as many rows as the register file holds: 2 kMr accumulators, two vectors of
// B, one broadcast of A. By columns four vectors wide where there are 32 registers.
constexpr int kNr = 2 * kLanes;
constexpr int kMr = kVectorBytes == 64 ? 14 : kVectorBytes == 32 ? 6 : 4;
constexpr int kWideNr = kVectorBytes == 64 ? 4 * kLanes : kNr;
constexpr int kWideMr = kVectorBytes == 64 ? 6 : kMr;
constexpr int kAhead = 12;  // steps of depth

// What happens to whole vectors of sums on their way to C. Each has a loop of its own, with nothing to decide
// in it: with short sums, deciding at every vector would cost as much as a fifth of the products.
enum class Storing : uint8_t { Plain, Accumulate, Bias, BiasRelu, BiasPrelu };

template <Storing kStoring, int kRows, int kVectors>
TERN_INLINE void store_vectors(const TileJob& job, const Raw (&acc)[kRows][kVectors]) {
  float* const* rows = job.c;
  const int64_t column = job.column;
#pragma GCC unroll 4
  for (int j = 0; j < kVectors; ++j) {
    const V bias = kStoring >= Storing::Bias && job.bias ? V::load(job.bias + j * kLanes) : V(0.0f);
    const V slope = kStoring == Storing::BiasPrelu ? V::load(job.slope + j * kLanes) : V(0.0f);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      float* c = rows[r] + column + j * kLanes;
      V sum(acc[r][j]);
      if (kStoring == Storing::Accumulate) sum = V::load(c) + sum;
      if (kStoring >= Storing::Bias) sum += bias;
      if (kStoring == Storing::BiasRelu) sum = select(sum <= V(0.0f), V(0.0f), sum);
      if (kStoring == Storing::BiasPrelu) sum = select(sum <= V(0.0f), sum * slope, sum);
      sum.store(c);
    }
  }
}

template <int kRows, int kVectors>
TERN_INLINE void store_tile(const TileJob& job, const Raw (&acc)[kRows][kVectors]) {
  const bool finish = job.bias || job.activation != Activation::None;
  if (job.columns == kVectors * kLanes && !(finish && job.accumulate)) {
    if (job.accumulate) return store_vectors<Storing::Accumulate>(job, acc);
    if (!finish) return store_vectors<Storing::Plain>(job, acc);
    if (job.activation == Activation::None) return store_vectors<Storing::Bias>(job, acc);
    if (job.activation == Activation::Relu) return store_vectors<Storing::BiasRelu>(job, acc);
    return store_vectors<Storing::BiasPrelu>(job, acc);
  }
  float edge[kRows][kVectors * kLanes];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) V(acc[r][j]).store(edge[r] + j * kLanes);
  for (int r = 0; r < kRows; ++r) {
    float* c = job.c[r] + job.column;
    for (int64_t i = 0; i < job.columns; ++i) {
      float sum = job.bias ? edge[r][i] + job.bias[i] : edge[r][i];
      if (job.accumulate) sum = c[i] + sum;
      if (job.activation != Activation::None && sum <= 0) sum = job.slope ? sum * job.slope[i] : 0;
      c[i] = sum;
    }
  }
}

template <int kRows, int kVectors, bool kByColumns>
TERN_INLINE void run_tile(const TileJob& job) {
  constexpr int kFirst = kRows - kRows / 2;  // rows that are addressed from a, the others from a_second
  float* const* soon = job.c_next ? job.c_next : job.c;
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) __builtin_prefetch(soon[r] + job.column + j * kLanes, 1, 2);
  Raw acc[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) acc[r][j] = Raw{};
  const float* b = job.b;
  const int64_t row = kByColumns ? 1 : job.a_stride, step = kByColumns ? job.a_stride : 1;
  const int64_t b_step = kByColumns ? job.b_stride : kNr;
  const float* second = job.a_second ? job.a_second : job.a + kFirst * row;
  for (int64_t run = 0; run < job.runs; ++run) {
    const int64_t offset = job.a_run ? job.a_run[run] : 0;
    const float* a0 = job.a + offset;
    const float* a1 = second + offset;
    if (kByColumns && job.b_run) b = job.b + job.b_run[run];
#pragma GCC unroll 4
    for (int64_t k = 0; k < job.depth; ++k) {
      // A panel streams from the second-level cache faster than the processor guesses.
      if (!kByColumns) {
#pragma GCC unroll 4
        for (int j = 0; j < kVectors; ++j) __builtin_prefetch(b + kAhead * kNr + j * kLanes, 0, 3);
      }
      Raw line[kVectors];
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) line[j] = V::load(b + j * kLanes).v;
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const V x(r < kFirst ? a0[r * row] : a1[(r - kFirst) * row]);
#pragma GCC unroll 4
        for (int j = 0; j < kVectors; ++j) acc[r][j] += x.v * line[j];
      }
      a0 += step;
      a1 += step;
      b += b_step;
    }
  }
  store_tile<kRows, kVectors>(job, acc);
}

template <int kRows, bool kByColumns>
void tile(const TileJob& job) {
  if constexpr (kByColumns && kWideNr > kNr && kRows <= kWideMr) {
    if (job.columns > 3 * kLanes) return run_tile<kRows, 4, true>(job);
    if (job.columns > 2 * kLanes) return run_tile<kRows, 3, true>(job);
  }
  if (job.columns > kLanes) return run_tile<kRows, 2, kByColumns>(job);
  run_tile<kRows, 1, kByColumns>(job);
}

void pack_panel(const float* src, int64_t ld, int64_t depth, int64_t columns, float* panel) {
  if (columns == kNr) {
    for (int64_t k = 0; k < depth; ++k, src += ld, panel += kNr) {
      V::load(src).store(panel);
      V::load(src + kLanes).store(panel + kLanes);
    }
    return;
  }
  for (int64_t k = 0; k < depth; ++k, src += ld, panel += kNr) {
    for (int64_t j = 0; j < columns; ++j) panel[j] = src[j];
    for (int64_t j = columns; j < kNr; ++j) panel[j] = 0;
  }
}

void pack_panel_transposed(const float* src, int64_t ld, int64_t depth, int64_t columns, float* panel) {
  int64_t k = 0;
  for (; k + kLanes <= depth; k += kLanes)
    for (int64_t j = 0; j < kNr; j += kLanes) {
      Raw rows[kLanes];
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r) rows[r] = j + r < columns ? V::load(src + (j + r) * ld + k).v : Raw{};
      transpose_square(rows);
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r) V(rows[r]).store(panel + (k + r) * kNr + j);
    }
  for (; k < depth; ++k)
    for (int64_t j = 0; j < kNr; ++j) panel[k * kNr + j] = j < columns ? src[j * ld + k] : 0;
}

void pack_rows(const float* src, int64_t ld, int64_t rows, int64_t depth, float* packed) {
  for (int64_t r = 0; r < rows; ++r, src += ld, packed += kRowStride) {
    int64_t k = 0;
    for (; k + kLanes <= depth; k += kLanes) V::load(src + k).store(packed + k);
    for (; k < depth; ++k) packed[k] = src[k];
  }
}

// Squares of vectors, as long as whole vectors may be read; what lies beyond the rows is not used.
void pack_rows_transposed(const float* src, int64_t ld, int64_t rows, int64_t depth, float* packed) {
  const int64_t readable = (depth - 1) * ld + rows - kLanes;
  int64_t k = 0;
  if (rows <= kLanes)
    for (; k + kLanes <= depth && (k + kLanes - 1) * ld <= readable; k += kLanes) {
      Raw square[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) square[i] = V::load(src + (k + i) * ld).v;
      transpose_square(square);
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r)
        if (r < rows) V(square[r]).store(packed + r * kRowStride + k);
    }
  for (; k < depth; ++k)
    for (int64_t r = 0; r < rows; ++r) packed[r * kRowStride + k] = src[k * ld + r];
}

// The kernels of 1 .. kMr rows; more rows than the register file holds are never asked for.
template <bool kByColumns, int... kRows>
constexpr RegisterTile kernels_of(int rows, int columns) {
  RegisterTile t{};
  t.rows = rows;
  t.narrow_rows = kMr;
  t.columns = columns;
  ((t.run[kRows] = kRows <= kMr ? &tile<(kRows <= kMr ? kRows : 1), kByColumns> : nullptr), ...);
  return t;
}

constexpr GemmKernels make_table() {
  GemmKernels t{};
  t.by_rows = kernels_of<false, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14>(kMr, kNr);
  t.by_columns = kernels_of<true, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14>(kWideMr, kWideNr);
  t.pack_panel = pack_panel;
  t.pack_panel_transposed = pack_panel_transposed;
  t.pack_rows = pack_rows;
  t.pack_rows_transposed = pack_rows_transposed;
  return t;
}

}  // namespace

constinit const GemmKernels gemm_table = make_table();

}  // namespace tern::cpu::TERN_ISA
