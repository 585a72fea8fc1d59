#pragma once
// Reductions over the threads of a warp and of a block. The order of every sum is fixed by the number of
// threads: lane i meets lane i ^ 16, then i ^ 8, ... 1, so that all lanes hold the same bits; then the first
// warp does the same with the warps' results.
//
// All threads of the warp, or of the block, call these together. Each block function begins with a barrier,
// so that it may be called again, or after other use of shared memory.

#include "tern/cuda/kernel.h"

namespace tern::cu {

struct SumOf {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a + b;
  }
};
// NaN wins, as in the reference loops.
struct MaximumOf {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a != a || a > b ? a : b;
  }
};
struct MinimumOf {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a != a || a < b ? a : b;
  }
};

// op of the values of the 32 lanes, in every lane. op must be commutative.
template <class T, class Op>
__device__ __forceinline__ T warp_reduce(T value, Op op) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    value = op(value, __shfl_xor_sync(kFullMask, value, distance));
  return value;
}
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
  return warp_reduce(value, SumOf{});
}
template <class T>
__device__ __forceinline__ T warp_maximum(T value) {
  return warp_reduce(value, MaximumOf{});
}
template <class T>
__device__ __forceinline__ T warp_minimum(T value) {
  return warp_reduce(value, MinimumOf{});
}

// op of the values of kThreads threads, in every thread. identity: op(identity, x) is x.
template <int kThreads, class T, class Op>
__device__ __forceinline__ T block_reduce(T value, Op op, T identity) {
  constexpr int kWarps = kThreads / kWarp;
  static_assert(kThreads % kWarp == 0 && kWarps >= 1 && kWarps <= kWarp);
  __shared__ T partial[kWarps];
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  value = warp_reduce(value, op);
  if constexpr (kWarps == 1) return value;
  __syncthreads();
  if (lane == 0) partial[warp] = value;
  __syncthreads();
  return warp_reduce(lane < kWarps ? partial[lane] : identity, op);
}
template <int kThreads, class T>
__device__ __forceinline__ T block_sum(T value) {
  return block_reduce<kThreads>(value, SumOf{}, T(0));
}
template <int kThreads, class T>
__device__ __forceinline__ T block_maximum(T value, T lowest) {
  return block_reduce<kThreads>(value, MaximumOf{}, lowest);
}
template <int kThreads, class T>
__device__ __forceinline__ T block_minimum(T value, T highest) {
  return block_reduce<kThreads>(value, MinimumOf{}, highest);
}

}  // namespace tern::cu
