#pragma once
// Activations are f32 or bf16 in memory and f32 in registers. A thread moves 16 bytes at a time, 4 f32 or 8
// bf16, where all pointers of a kernel are aligned to 16; what is left over, and everything of misaligned
// tensors, goes element by element through the same arithmetic.

#include <cstdint>

#include "tern/core/dtype.h"
#include "tern/cuda/kernel.h"

namespace tern::cu {

inline constexpr int kVectorBytes = 16;
// Elements of type T in one 16-byte access.
template <class T>
inline constexpr int kPerVector = kVectorBytes / static_cast<int>(sizeof(T));

__device__ __forceinline__ float load_float(const float* p) { return *p; }
__device__ __forceinline__ float load_float(const bfloat16* p) { return static_cast<float>(*p); }
__device__ __forceinline__ void store_float(float* p, float value) { *p = value; }
__device__ __forceinline__ void store_float(bfloat16* p, float value) { *p = bfloat16(value); }

// 16 bytes at p, which is aligned to 16, as floats.
__device__ __forceinline__ void load_vector(const float* p, float (&v)[4]) {
  const float4 raw = *reinterpret_cast<const float4*>(p);
  v[0] = raw.x;
  v[1] = raw.y;
  v[2] = raw.z;
  v[3] = raw.w;
}
__device__ __forceinline__ void store_vector(float* p, const float (&v)[4]) {
  *reinterpret_cast<float4*>(p) = make_float4(v[0], v[1], v[2], v[3]);
}

__device__ __forceinline__ float bf16_float(unsigned half) {
  bfloat16 value;
  value.bits = static_cast<uint16_t>(half);
  return static_cast<float>(value);
}
__device__ __forceinline__ unsigned bf16_pair(float low, float high) {
  return bfloat16(low).bits | static_cast<unsigned>(bfloat16(high).bits) << 16;
}
__device__ __forceinline__ void load_vector(const bfloat16* p, float (&v)[8]) {
  const uint4 raw = *reinterpret_cast<const uint4*>(p);
  const unsigned words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    v[2 * i] = bf16_float(words[i] & 0xffffu);
    v[2 * i + 1] = bf16_float(words[i] >> 16);
  }
}
__device__ __forceinline__ void store_vector(bfloat16* p, const float (&v)[8]) {
  *reinterpret_cast<uint4*>(p) =
      make_uint4(bf16_pair(v[0], v[1]), bf16_pair(v[2], v[3]), bf16_pair(v[4], v[5]), bf16_pair(v[6], v[7]));
}

// Whether every pointer may be read 16 bytes at a time.
template <class... P>
bool aligned_to_vector(const P*... pointers) {
  return (... && (reinterpret_cast<uintptr_t>(pointers) % kVectorBytes == 0));
}

}  // namespace tern::cu
