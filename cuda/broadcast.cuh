#pragma once
// Where the elements of two broadcast operands lie (ops/broadcast.h), inside a kernel.

#include "tern/cuda/kernel.h"
#include "tern/ops/broadcast.h"

namespace tern::cu {

struct BroadcastStrides {
  int rank;
  int64_t size[Shape::kMaxRank], a[Shape::kMaxRank], b[Shape::kMaxRank];
};
inline BroadcastStrides strides_of(const BroadcastGeometry& g) {
  BroadcastStrides s{};
  s.rank = g.rank;
  for (int d = 0; d < g.rank; ++d) {
    const auto k = static_cast<size_t>(d);
    s.size[d] = g.size[k];
    s.a[d] = g.a_stride[k];
    s.b[d] = g.b_stride[k];
  }
  return s;
}

// 64-bit division takes about five times as long as 32-bit division, and sizes rarely need it.
__device__ __forceinline__ int64_t divide(int64_t a, int64_t b) {
  if (((a | b) >> 32) == 0) return static_cast<uint32_t>(a) / static_cast<uint32_t>(b);
  return a / b;
}

struct Offsets {
  int64_t a, b;
};
__device__ __forceinline__ Offsets offsets_at(const BroadcastStrides& s, int64_t i) {
  Offsets at{0, 0};
#pragma unroll
  for (int d = Shape::kMaxRank - 1; d >= 0; --d) {
    if (d >= s.rank) continue;
    const int64_t outer = d == 0 ? 0 : divide(i, s.size[d]);
    const int64_t here = i - outer * s.size[d];
    at.a += here * s.a[d];
    at.b += here * s.b[d];
    i = outer;
  }
  return at;
}

}  // namespace tern::cu
