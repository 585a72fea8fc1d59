#pragma once
// Faults planted for the emulator's self-test (tests/nogpu/emulator_test.cpp).

#include <cuda_runtime_api.h>

namespace nogpu {

enum class Planted {
  None,
  MissingBarrier,
  MissingWarpBarrier,
  OverwriteEarly,
  NoneWarpBarrier,
  ReadPastEnd,
  WritePastEnd,
  SharedPastEnd,
  Uninitialised,
  StaleShared,
  BarrierInBranches,
  BarrierInOneBranch,
  EarlyReturn,
  ShuffleTail,
  HostPointer,
  MisalignedVector,
  AcrossBlocks,
  MixedAtomic,
  NoneAtomic,
  TooManyThreads
};

// p: 33 ints of device memory, all written; q: what the fault is about.
void run_fault(Planted planted, int* p, int* q, cudaStream_t stream);

}  // namespace nogpu
