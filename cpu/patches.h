#pragma once
// Gathering the patches of an image batch (cpu/conv2d_kernels.h) element by element of their rows, for f32
// and bf16 images. Included only by *_kernels.cpp files.

#include "tern/cpu/conv2d_kernels.h"
#include "tern/cpu/vec.h"

namespace tern::cpu::TERN_ISA {

TERN_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
TERN_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// In pieces of kBytes; the last one overlaps its predecessor instead of leaving a tail.
template <int kBytes>
TERN_INLINE void copy_bytes(const char* from, char* to, int64_t bytes) {
  typedef char Piece __attribute__((vector_size(kBytes)));
  Piece piece;
  for (int64_t i = 0; i + kBytes <= bytes; i += kBytes) {
    __builtin_memcpy(&piece, from + i, kBytes);
    __builtin_memcpy(to + i, &piece, kBytes);
  }
  __builtin_memcpy(&piece, from + bytes - kBytes, kBytes);
  __builtin_memcpy(to + bytes - kBytes, &piece, kBytes);
}

template <class T>
TERN_INLINE void copy(const T* from, T* to, int64_t n) {
  const auto bytes = n * static_cast<int64_t>(sizeof(T));
  const char* source = reinterpret_cast<const char*>(from);
  if (bytes >= kVectorBytes) return copy_bytes<kVectorBytes>(source, reinterpret_cast<char*>(to), bytes);
  if (bytes >= 16) return copy_bytes<16>(source, reinterpret_cast<char*>(to), bytes);
  for (int64_t i = 0; i < n; ++i) to[i] = from[i];
}

template <class T>
TERN_INLINE void zero(T* to, int64_t n) {
  __builtin_memset(static_cast<void*>(to), 0, static_cast<size_t>(n) * sizeof(T));
}

// A position of the grid.
struct Cursor {
  int64_t n, i, j;
  template <class T>
  TERN_INLINE Cursor(const PatchGridOf<T>& g, int64_t row)
      : n(row / (g.rows * g.columns)), i(row / g.columns % g.rows), j(row % g.columns) {}
  template <class T>
  TERN_INLINE void next(const PatchGridOf<T>& g) {
    if (++j < g.columns) return;
    j = 0;
    if (++i < g.rows) return;
    i = 0;
    ++n;
  }
};

// The patch as runs of consecutive elements: a whole row of taps where they are neighbours in memory, else
// one tap.
struct Runs {
  int64_t count;   // per row of taps
  int64_t length;  // elements
  template <class T>
  TERN_INLINE explicit Runs(const PatchGridOf<T>& g) {
    const bool joined = g.delta_w == 1 && g.channels == g.pixel;
    count = joined ? 1 : g.taps_w;
    length = joined ? g.taps_w * g.channels : g.channels;
  }
};

// A patch that lies inside of the image from left to right, whole: rows of taps are copied or zero as a
// whole.
template <class T>
TERN_INLINE void gather_whole(const PatchGridOf<T>& g, const Runs& runs, int64_t h0, const T* from, T* to) {
  for (int64_t p = 0; p < g.taps_h; ++p, to += runs.length) {
    const int64_t h = h0 + p * g.delta_h;
    if (h >= 0 && h < g.h) copy(from + h * g.w * g.pixel, to, runs.length);
    else zero(to, runs.length);
  }
}

// Elements [k0, k1) of one patch to `to`.
template <class T>
TERN_INLINE void gather(const PatchGridOf<T>& g, const Runs& runs, const Cursor& at, int64_t k0, int64_t k1,
                        T* to) {
  const int64_t h0 = at.i * g.step_h + g.start_h, w0 = at.j * g.step_w + g.start_w;
  const T* image = g.image + at.n * g.h * g.w * g.pixel;
  if (runs.count == 1 && w0 >= 0 && w0 + g.taps_w <= g.w && k0 == 0 && k1 == g.taps_h * runs.length)
    return gather_whole(g, runs, h0, image + w0 * g.pixel, to);
  for (int64_t run = k0 / runs.length; run * runs.length < k1; ++run) {
    const int64_t p = runs.count == 1 ? run : run / runs.count, q = runs.count == 1 ? 0 : run % runs.count;
    const int64_t begin = larger(k0 - run * runs.length, 0),
                  end = smaller(k1 - run * runs.length, runs.length);
    const int64_t h = h0 + p * g.delta_h, w = w0 + q * g.delta_w;
    // The run is inside of the image for elements [low, high).
    int64_t low = end, high = end;
    if (h >= 0 && h < g.h) {
      if (runs.count == 1) {
        low = smaller(larger(begin, -w * g.channels), end);
        high = larger(smaller(end, (g.w - w) * g.channels), low);
      } else if (w >= 0 && w < g.w) {
        low = begin;
      }
    }
    if (low > begin) zero(to, low - begin);
    if (high > low) copy(image + (h * g.w + w) * g.pixel + low, to + (low - begin), high - low);
    if (end > high) zero(to + (high - begin), end - high);
    to += end - begin;
  }
}

}  // namespace tern::cpu::TERN_ISA
