#include "tern/cpu/conv2d_kernels.h"

#include "tern/cpu/gemm_kernels.h"
#include "tern/cpu/patches.h"
#include "tern/cpu/vec.h"

namespace tern::cpu::TERN_ISA {
namespace {

using V = Vec<float>;
constexpr int kLanes = V::kLanes;
constexpr int kNr = 2 * kLanes;

void pack_patches(const PatchGrid& g, int64_t row, int64_t rows, int64_t k, int64_t depth, float* packed) {
  const Runs runs(g);
  Cursor at(g, row);
  for (int64_t r = 0; r < rows; ++r, at.next(g)) gather(g, runs, at, k, k + depth, packed + r * kRowStride);
}

// One panel that holds kNr channels of one tap: row by row of the grid, the pixels inside of the image are a
// range.
void pack_tap_panel(const PatchGrid& g, int64_t row, int64_t rows, int64_t k, float* panel) {
  const int64_t tap = k / g.channels, c = k % g.channels;
  const int64_t shift_h = g.start_h + tap / g.taps_w * g.delta_h,
                shift_w = g.start_w + tap % g.taps_w * g.delta_w;
  // Columns j with 0 <= j step_w + shift_w < w.
  const int64_t inside = shift_w >= 0 ? 0 : (-shift_w + g.step_w - 1) / g.step_w;
  const int64_t outside = shift_w >= g.w ? 0 : (g.w - shift_w + g.step_w - 1) / g.step_w;
  Cursor at(g, row);
  while (rows > 0) {
    const int64_t columns = smaller(rows, g.columns - at.j), h = at.i * g.step_h + shift_h;
    const bool seen = h >= 0 && h < g.h;
    const int64_t low = seen ? smaller(larger(inside - at.j, 0), columns) : columns;
    const int64_t high = seen ? larger(smaller(outside - at.j, columns), low) : columns;
    const float* from = g.image + ((at.n * g.h + h) * g.w + (at.j + low) * g.step_w + shift_w) * g.pixel + c;
    if (low > 0) zero(panel, low * kNr);
    for (int64_t j = low; j < high; ++j, from += g.step_w * g.pixel) {
      V::load(from).store(panel + j * kNr);
      V::load(from + kLanes).store(panel + j * kNr + kLanes);
    }
    if (high < columns) zero(panel + high * kNr, (columns - high) * kNr);
    panel += columns * kNr;
    rows -= columns;
    at.j += columns - 1;
    at.next(g);
  }
}

// Gathers a row in pieces of at most kPiece floats and deals them out to the panels.
void pack_patch_panels(const PatchGrid& g, int64_t row, int64_t rows, int64_t k, int64_t columns,
                       float* panels) {
  constexpr int64_t kPiece = 8 * kNr;
  if (g.channels % kNr == 0) {
    for (int64_t j = 0; j < columns; j += kNr) pack_tap_panel(g, row, rows, k + j, panels + j * rows);
    return;
  }
  const Runs runs(g);
  Cursor at(g, row);
  float piece[kPiece];
  for (int64_t r = 0; r < rows; ++r, at.next(g)) {
    for (int64_t first = 0; first < columns; first += kPiece) {
      const int64_t n = smaller(kPiece, columns - first), whole = (n + kNr - 1) / kNr * kNr;
      gather(g, runs, at, k + first, k + first + n, piece);
      for (int64_t j = n; j < whole; ++j) piece[j] = 0;
      float* to = panels + first * rows + r * kNr;
      for (int64_t j = 0; j < whole; j += kNr, to += kNr * rows) {
        V::load(piece + j).store(to);
        V::load(piece + j + kLanes).store(to + kLanes);
      }
    }
  }
}

void sum_rows(const float* x, int64_t ld, int64_t rows, int64_t columns, float* sums) {
  int64_t c = 0;
  for (; c + kLanes <= columns; c += kLanes) {
    V sum(0.0f);
    for (int64_t r = 0; r < rows; ++r) sum += V::load(x + r * ld + c);
    sum.store(sums + c);
  }
  for (; c < columns; ++c) {
    float sum = 0;
    for (int64_t r = 0; r < rows; ++r) sum += x[r * ld + c];
    sums[c] = sum;
  }
}

}  // namespace

constinit const ConvKernels conv_table = {pack_patches, pack_patch_panels, sum_rows};

}  // namespace tern::cpu::TERN_ISA
