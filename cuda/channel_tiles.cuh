#pragma once
// Threads over activations seen as rows of channels. A thread keeps its group of channels, 16 bytes of them
// where sizes and addresses allow, one value elsewhere, and walks over rows; what belongs to the channels it
// reads once.
//
//   block    kLanes neighbouring groups (a line of 128 bytes) x kRows rows
//   grid     x: lines of channels, y: blocks of rows

#include <cstdint>

#include "tern/cuda/vector_access.cuh"

namespace tern::cu {

template <class T, bool kVector>
struct ChannelTile {
  static constexpr int kSize = kVector ? kPerVector<T> : 1;  // channels of a thread
  static constexpr int kLanes = kVector ? 8 : kWarp;         // of a block in x
  static constexpr int kRows = kBlock / kLanes;
  static constexpr int kChannels = kLanes * kSize;  // of a block

  static dim3 grid(int64_t rows, int64_t channels) {
    constexpr int64_t kMost = kMaxBlocks;
    const int64_t lines = (channels + kChannels - 1) / kChannels, blocks = (rows + kRows - 1) / kRows;
    return dim3(static_cast<unsigned>(lines), static_cast<unsigned>(blocks < kMost ? blocks : kMost));
  }
  static __device__ __forceinline__ int lane() { return static_cast<int>(threadIdx.x) % kLanes; }
  static __device__ __forceinline__ int row() { return static_cast<int>(threadIdx.x) / kLanes; }
  static __device__ __forceinline__ int64_t channel() {
    return (static_cast<int64_t>(blockIdx.x) * kLanes + lane()) * kSize;
  }
  static __device__ __forceinline__ int64_t first_row() {
    return static_cast<int64_t>(blockIdx.y) * kRows + row();
  }
  static __device__ __forceinline__ int64_t row_step() { return static_cast<int64_t>(gridDim.y) * kRows; }

  using Values = float[kSize];
  static __device__ __forceinline__ void load(const T* p, Values& v) {
    if constexpr (kVector) load_vector(p, v);
    else v[0] = load_float(p);
  }
  static __device__ __forceinline__ void store(T* p, const Values& v) {
    if constexpr (kVector) store_vector(p, v);
    else store_float(p, v[0]);
  }
  // kSize parameters, which are f32 beside bf16 activations, too.
  static __device__ __forceinline__ void load_parameters(const float* p, Values& v) {
#pragma unroll
    for (int i = 0; i < kSize; i += kVector ? 4 : 1) {
      if constexpr (kVector) {
        const float4 raw = *reinterpret_cast<const float4*>(p + i);
        v[i] = raw.x;
        v[i + 1] = raw.y;
        v[i + 2] = raw.z;
        v[i + 3] = raw.w;
      } else {
        v[i] = p[i];
      }
    }
  }
};

// run.template operator()<T, kVector>() for f32 and bf16 activations; vectors where whole groups of channels
// lie at multiples of 16 bytes.
template <class Run>
void with_channel_tile(const char* op, DType dtype, int64_t channels, bool aligned, const Run& run) {
  on_activation(op, dtype, [&](auto zero) {
    using T = decltype(zero);
    if (aligned && channels % kPerVector<T> == 0) run.template operator()<T, true>();
    else run.template operator()<T, false>();
  });
}

}  // namespace tern::cu
