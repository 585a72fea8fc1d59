#pragma once
// Kernels in which each row of a matrix belongs to a group of threads: a warp for rows of up to kWarpRow
// elements, a block of kBlock threads for longer ones. Rows that a warp or block reads again are still in its
// cache.

#include "tern/cuda/block.cuh"

namespace tern::cu {

inline constexpr int64_t kWarpRow = 1024;

// The row of this thread's group, and the thread's place in the group.
template <int kThreads>
struct RowThread {
  static constexpr int kRows = kBlock / kThreads;  // of a block
  int64_t row = static_cast<int64_t>(blockIdx.x) * kRows + static_cast<int>(threadIdx.x) / kThreads;
  int lane = static_cast<int>(threadIdx.x) % kThreads;
};

template <int kThreads, class T, class Op>
__device__ __forceinline__ T row_reduce(T value, Op op, T identity) {
  if constexpr (kThreads == kWarp) return warp_reduce(value, op);
  else return block_reduce<kThreads>(value, op, identity);
}
template <int kThreads, class T>
__device__ __forceinline__ T row_sum(T value) {
  return row_reduce<kThreads>(value, SumOf{}, T(0));
}

// Runs body(integral_constant<int, threads>, grid) for rows of C elements.
template <class Body>
void for_row_group(int64_t rows, int64_t C, Body&& body) {
  const auto grid = [&](int64_t per_block) {
    return dim3(static_cast<unsigned>((rows + per_block - 1) / per_block));
  };
  if (C <= kWarpRow) body(std::integral_constant<int, kWarp>{}, grid(kBlock / kWarp));
  else body(std::integral_constant<int, kBlock>{}, grid(1));
}

}  // namespace tern::cu
