#pragma once
// Runs the source of CUDA kernels on the CPU, one fiber per CUDA thread, the blocks of a grid one after
// another. Test only: no GPU, no timing, no warps in lockstep. What kernel files see of CUDA when g++
// compiles them.
//
// A fiber runs until it reaches a barrier or a warp operation, so that the threads of a block run in as
// different an order as one likes; three orders are offered. Three builds of one source check three things:
//   plain  results, launch sizes, barriers and warp operations that not all threads reach together
//   asan   accesses outside of allocations, misaligned ones (UBSan)
//   race   every access to shared and global memory (tests/nogpu/checker.h): races, reads of what nobody
//   wrote, memory
//          that is not the device's. The compiler inserts the calls (-fsanitize=thread); they are answered
//          here.
// Not found: barriers on one source line reached in different iterations; the ordering of the memory model.

#include <cuda_runtime_api.h>
#include <vector_functions.h>
#include <vector_types.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <source_location>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#undef __shared__
#undef __global__
#undef __device__
#undef __host__
#undef __constant__
#undef __launch_bounds__
#undef __forceinline__
#undef __restrict__
#define __shared__ static  // all fibers of a block share it; blocks run one after another
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __launch_bounds__(...)
#define __forceinline__ inline
#define __restrict__ __restrict

namespace nogpu {

using Where = std::source_location;

// What a kernel did wrong. The text names kernel, block, thread and source line.
struct Fault : std::runtime_error {
  using runtime_error::runtime_error;
};

enum class ThreadOrder { Ascending, Descending, Shuffled };
void set_thread_order(ThreadOrder order);

struct Counts {
  uint64_t launches = 0, threads = 0, barriers = 0, warp_operations = 0, checked_accesses = 0;
};
Counts counts();

struct Indices {
  uint3 thread, block;
  dim3 block_size, grid_size;
};
extern Indices indices;

int sync_block(int predicate, Where where);  // how many threads passed a predicate other than 0
// Meets the other lanes of mask; 32 values, those of mask valid.
const uint64_t* warp_exchange(unsigned mask, int operation, uint64_t value, Where where);
unsigned lane();
void* dynamic_shared();
void atomic_access(const void* data, size_t bytes);
[[noreturn]] void fault(const std::string& what, Where where);

// A kernel with its arguments, by value as a launch copies them.
struct Call {
  std::shared_ptr<void> data;
  size_t bytes;
  void (*run)(void* data);
};
// Puts the launch on the stream of the stand-in runtime (tests/nogpu/cudart.cpp); it runs when somebody waits
// for it.
void enqueue_grid(const char* kernel, dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                  Call call);

template <class... P>
struct BoundKernel {
  void (*kernel)(P...);
  std::tuple<P...> arguments;
};

template <class... P>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes,
            cudaStream_t stream, P... args) {
  using Bound = BoundKernel<P...>;
  const auto run = [](void* data) {
    auto* bound = static_cast<Bound*>(data);
    std::apply(bound->kernel, bound->arguments);
  };
  enqueue_grid(name, grid, block, shared_bytes, stream,
               {std::make_shared<Bound>(Bound{kernel, {args...}}), sizeof(Bound), run});
}

template <class T>
uint64_t to_word(T value) {
  static_assert(sizeof(T) <= 8);
  uint64_t word = 0;
  std::memcpy(&word, &value, sizeof value);
  return word;
}
template <class T>
T from_word(uint64_t word) {
  T value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

// The emulator's own memory is not the kernel's: no checks in here.
#define NOGPU_UNCHECKED __attribute__((no_sanitize("thread")))

template <class T>
NOGPU_UNCHECKED T shuffle(unsigned mask, T value, int source, int operation, Where where) {
  const uint64_t* words = warp_exchange(mask, operation, to_word(value), where);
  if (!(mask >> source & 1)) fault("a shuffle reads a lane outside of its mask", where);
  return from_word<T>(words[source]);
}

// The stored value changes from x to f(x) in one step; gives x.
template <class T, class F>
NOGPU_UNCHECKED T atomic_update(T* data, F f) {
  atomic_access(data, sizeof(T));
  const T old = *const_cast<volatile T*>(data);
  *const_cast<volatile T*>(data) = f(old);
  return old;
}

}  // namespace nogpu

#define threadIdx nogpu::indices.thread
#define blockIdx nogpu::indices.block
#define blockDim nogpu::indices.block_size
#define gridDim nogpu::indices.grid_size
#define NOGPU_HERE nogpu::Where where = nogpu::Where::current()

inline void __syncthreads(NOGPU_HERE) { nogpu::sync_block(0, where); }
inline int __syncthreads_count(int p, NOGPU_HERE) { return nogpu::sync_block(p != 0, where); }
inline int __syncthreads_or(int p, NOGPU_HERE) { return nogpu::sync_block(p != 0, where) != 0; }
inline int __syncthreads_and(int p, NOGPU_HERE) { return nogpu::sync_block(p == 0, where) == 0; }
inline void __syncwarp(unsigned mask = ~0u, NOGPU_HERE) { nogpu::warp_exchange(mask, 0, 0, where); }

NOGPU_UNCHECKED inline unsigned __ballot_sync(unsigned mask, int p, NOGPU_HERE) {
  const uint64_t* words = nogpu::warp_exchange(mask, 1, p != 0, where);
  unsigned bits = 0;
  for (int i = 0; i < 32; ++i)
    if ((mask >> i & 1) && words[i]) bits |= 1u << i;
  return bits;
}
inline int __any_sync(unsigned mask, int p, NOGPU_HERE) { return __ballot_sync(mask, p, where) != 0; }
inline int __all_sync(unsigned mask, int p, NOGPU_HERE) { return __ballot_sync(mask, p, where) == mask; }

template <class T>
T __shfl_sync(unsigned mask, T v, int source, int width = 32, NOGPU_HERE) {
  const int me = static_cast<int>(nogpu::lane());
  return nogpu::shuffle(mask, v, (me & ~(width - 1)) | (source & (width - 1)), 2, where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32, NOGPU_HERE) {
  const int me = static_cast<int>(nogpu::lane()), source = me ^ bits;
  return nogpu::shuffle(mask, v, source < (me & ~(width - 1)) + width ? source : me, 3, where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32, NOGPU_HERE) {
  const int me = static_cast<int>(nogpu::lane()), source = me + static_cast<int>(delta);
  return nogpu::shuffle(mask, v, source < (me & ~(width - 1)) + width ? source : me, 4, where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32, NOGPU_HERE) {
  const int me = static_cast<int>(nogpu::lane()), source = me - static_cast<int>(delta);
  return nogpu::shuffle(mask, v, source >= (me & ~(width - 1)) ? source : me, 5, where);
}

template <class T>
T atomicAdd(T* p, std::type_identity_t<T> v) {
  return nogpu::atomic_update(p, [=](T old) { return static_cast<T>(old + v); });
}
template <class T>
T atomicMax(T* p, std::type_identity_t<T> v) {
  return nogpu::atomic_update(p, [=](T old) { return old < v ? v : old; });
}
template <class T>
T atomicMin(T* p, std::type_identity_t<T> v) {
  return nogpu::atomic_update(p, [=](T old) { return v < old ? v : old; });
}
template <class T>
T atomicExch(T* p, std::type_identity_t<T> v) {
  return nogpu::atomic_update(p, [=](T) { return v; });
}
template <class T>
T atomicOr(T* p, std::type_identity_t<T> v) {
  return nogpu::atomic_update(p, [=](T old) { return static_cast<T>(old | v); });
}
template <class T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
  return nogpu::atomic_update(p, [=](T old) { return old == expected ? v : old; });
}

inline int __popc(unsigned v) { return std::popcount(v); }
inline int __clz(int v) { return std::countl_zero(static_cast<unsigned>(v)); }
inline int __ffs(int v) { return v ? std::countr_zero(static_cast<unsigned>(v)) + 1 : 0; }
inline void __threadfence() {}
