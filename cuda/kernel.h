#pragma once
// The one header through which kernel files (*.cu) see CUDA. nvcc gets CUDA; g++, in tests/nogpu, gets an
// emulator that runs the same source on the CPU and checks it. For both to accept one source:
//
//   launch()                   instead of <<< >>>; a grid of no blocks launches nothing
//   dynamic_shared<T>()        instead of extern __shared__; shared arrays have no initialisers
//   __x_sync with exact masks  and no early return before a barrier
//   a flag that many threads write is written atomically; no float atomics at all: sums have a fixed order
//   blocks are whole warps     (kWarp threads)
//
// Sizes are int64_t; indices inside a block are int.
//
// Arithmetic rounds as written: the build compiles every .cu with -fmad=false, so that a * b + c is two
// roundings, as it is in the CPU's code outside of its vector kernels and in the emulator; divisions, square
// roots and subnormals are IEEE's (nvcc's defaults). Operations that round correctly therefore give the bits
// of the CPU wherever they are done in its order. All kernels wait for memory, not for the multiplier; one
// that wants fused operations says fma().

#include <cstdint>

#include "tern/core/tensor.h"
#include "tern/cuda/error.h"
#include "tern/cuda/runtime.h"

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#else
#include <tern_kernel_emulator.h>
#endif

namespace tern::cu {

inline constexpr int kWarp = 32;
inline constexpr int kBlock = 256;  // threads of a block, where a kernel has no reason for another number
inline constexpr int64_t kMaxBlocks = 4096;  // of a grid-stride kernel: several waves on the largest GPU
inline constexpr unsigned kFullMask = 0xffffffffu;

#if defined(__CUDACC__)
template <class T>
__device__ __forceinline__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char tern_dynamic_shared[];
  return reinterpret_cast<T*>(tern_dynamic_shared);
}
#else
template <class T>
T* dynamic_shared() {
  return static_cast<T*>(nogpu::dynamic_shared());
}
#endif

template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes,
            cudaStream_t stream, const A&... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
#if defined(__CUDACC__)
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...);
#else
  nogpu::launch(name, kernel, grid, block, shared_bytes, stream, static_cast<P>(args)...);
#endif
  check_launch(name, stream);
}

// What a kernel of an operation needs of its tensors.
inline cudaStream_t stream_of(const Tensor& x) { return runtime(x.device()).compute_stream(); }
template <class T>
const T* input(const Tensor& x) {
  return static_cast<const T*>(x.raw_data());
}
template <class T>
T* output(const Tensor& y) {  // counts as a change of y's storage
  y.storage().bump_version();
  return static_cast<T*>(y.raw_data());
}

// The training step in the address of random draws: the one given, and, where the launch is recorded, as many
// times `each` more as it is replayed steps later (core/device_step.h).
struct DrawStep {
  uint64_t given, each;
  const int64_t* later;
  __device__ uint64_t now() const { return later ? given + static_cast<uint64_t>(*later) * each : given; }
};
inline DrawStep draw_step(Device device, uint64_t given, uint64_t each = 1) {
  return {given, each, runtime(device).steps_later()};
}

// body(float{}) or body(bfloat16{}) by the type of the activations.
template <class Body>
void on_activation(const char* op, DType dtype, Body&& body) {
  if (dtype == DType::F32) return body(float{});
  if (dtype == DType::BF16) return body(bfloat16{});
  throw DTypeError(concat_text(op, ": dtype ", dtype,
                               " is not supported on cuda, allowed are f32 and bf16; hint: ",
                               dtype == DType::F64 ? "compute f64 on the CPU" : "cast with to(DType::F32)"));
}

// Blocks for n elements at kBlock threads with `each` elements a thread, at most kMaxBlocks: for grid-stride
// loops.
inline dim3 blocks_for(int64_t n, int64_t each = 1) {
  const int64_t blocks = (n + kBlock * each - 1) / (kBlock * each);
  return dim3(static_cast<unsigned>(blocks < kMaxBlocks ? blocks : kMaxBlocks));
}

}  // namespace tern::cu
