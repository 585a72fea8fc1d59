// Kernels with one mistake each, for the emulator's self-test, and their right twins.

#include "tern/tests/nogpu/faults.h"

#include "tern/cuda/kernel.h"

namespace nogpu {
namespace {

using tern::cu::dynamic_shared;

// Each thread reads what its neighbour wrote to shared memory.
__global__ void exchange_kernel(int* p, bool barrier) {
  __shared__ int s[64];
  const int i = static_cast<int>(threadIdx.x);
  s[i] = i;
  if (barrier) __syncthreads();
  p[i] = s[(i + 33) % 64];
}

// Shared memory is used again while a neighbour may still read it.
__global__ void overwrite_kernel(int* p) {
  __shared__ int s[64];
  const int i = static_cast<int>(threadIdx.x);
  s[i] = i;
  __syncthreads();
  p[i] = s[(i + 33) % 64];
  s[i] = 0;
}

// The exchange within one warp.
__global__ void warp_exchange_kernel(int* p, bool barrier) {
  __shared__ int s[32];
  const int i = static_cast<int>(threadIdx.x);
  s[i] = i;
  if (barrier) __syncwarp();
  p[i] = s[i ^ 1];
}

__global__ void read_at_kernel(int* p, const int* q, int offset) {
  p[threadIdx.x] = q[static_cast<int>(threadIdx.x) + offset];
}
__global__ void write_at_kernel(int* p, int offset) { p[static_cast<int>(threadIdx.x) + offset] = 1; }

__global__ void shared_overrun_kernel(int* p) {
  __shared__ int s[32];
  s[threadIdx.x] = 1;
  __syncthreads();
  p[threadIdx.x] = s[threadIdx.x + 1];
}

// Shared memory does not keep what the block before left in it.
__global__ void stale_shared_kernel(int* p) {
  int* s = dynamic_shared<int>();
  if (blockIdx.x == 0) s[threadIdx.x] = 5;
  __syncthreads();
  p[blockIdx.x * 32 + threadIdx.x] = s[threadIdx.x];
}

__global__ void branch_barrier_kernel(int* p) {
  if (threadIdx.x < 16) __syncthreads();
  else __syncthreads();
  p[threadIdx.x] = 1;
}
__global__ void half_barrier_kernel(int* p) {
  if (threadIdx.x < 16) __syncthreads();
  p[threadIdx.x] = 1;
}
__global__ void early_return_kernel(int* p, int n) {
  if (static_cast<int>(threadIdx.x) >= n) return;
  p[threadIdx.x] = 1;
  __syncthreads();
}
__global__ void shuffle_tail_kernel(float* p, int n) {
  if (static_cast<int>(threadIdx.x) >= n) return;
  p[threadIdx.x] = __shfl_down_sync(0xffffffffu, 1.0f, 1);
}

__global__ void vector_load_kernel(float* p, const float* q) {
  const float4 v = *reinterpret_cast<const float4*>(q);
  p[threadIdx.x] = v.x + v.w;
}

__global__ void across_blocks_kernel(int* p) { p[threadIdx.x] += 1; }
__global__ void mixed_atomic_kernel(int* p) {
  if (threadIdx.x == 3) p[0] = 0;
  else atomicAdd(p, 1);
}
__global__ void atomic_kernel(int* p) { atomicAdd(p, 1); }

}  // namespace

void run_fault(Planted planted, int* p, int* q, cudaStream_t stream) {
  const auto go = [&](const char* name, auto kernel, int blocks, int threads, size_t shared, auto... args) {
    tern::cu::launch(name, kernel, dim3(static_cast<unsigned>(blocks)), dim3(static_cast<unsigned>(threads)),
                     shared, stream, args...);
  };
  switch (planted) {
    case Planted::None: return go("planted exchange", exchange_kernel, 1, 64, 0, p, true);
    case Planted::MissingBarrier: return go("planted exchange", exchange_kernel, 1, 64, 0, p, false);
    case Planted::OverwriteEarly: return go("planted overwrite", overwrite_kernel, 1, 64, 0, p);
    case Planted::MissingWarpBarrier:
      return go("planted warp_exchange", warp_exchange_kernel, 1, 32, 0, p, false);
    case Planted::NoneWarpBarrier:
      return go("planted warp_exchange", warp_exchange_kernel, 1, 32, 0, p, true);
    case Planted::ReadPastEnd: return go("planted read_at", read_at_kernel, 1, 32, 0, p, q, 33);
    case Planted::WritePastEnd: return go("planted write_at", write_at_kernel, 1, 32, 0, p, 33);
    case Planted::SharedPastEnd: return go("planted shared_overrun", shared_overrun_kernel, 1, 32, 0, p);
    case Planted::Uninitialised: return go("planted read_at", read_at_kernel, 1, 32, 0, p, q, 0);
    case Planted::StaleShared: return go("planted stale_shared", stale_shared_kernel, 2, 32, 128, p);
    case Planted::BarrierInBranches: return go("planted branch_barrier", branch_barrier_kernel, 1, 32, 0, p);
    case Planted::BarrierInOneBranch: return go("planted half_barrier", half_barrier_kernel, 1, 32, 0, p);
    case Planted::EarlyReturn: return go("planted early_return", early_return_kernel, 1, 32, 0, p, 20);
    case Planted::ShuffleTail:
      return go("planted shuffle_tail", shuffle_tail_kernel, 1, 32, 0, reinterpret_cast<float*>(p), 20);
    case Planted::HostPointer: return go("planted read_at", read_at_kernel, 1, 32, 0, p, q, 0);
    case Planted::MisalignedVector:
      return go("planted vector_load", vector_load_kernel, 1, 32, 0, reinterpret_cast<float*>(p),
                reinterpret_cast<const float*>(q) + 1);
    case Planted::AcrossBlocks: return go("planted across_blocks", across_blocks_kernel, 2, 32, 0, p);
    case Planted::MixedAtomic: return go("planted mixed_atomic", mixed_atomic_kernel, 1, 32, 0, p);
    case Planted::NoneAtomic: return go("planted atomic", atomic_kernel, 2, 32, 0, p);
    case Planted::TooManyThreads: return go("planted write_at", write_at_kernel, 1, 2048, 0, p, 0);
  }
}

}  // namespace nogpu
