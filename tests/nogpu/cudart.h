#pragma once
// A stand-in for libcudart, at link time: no GPU, "no GPU (CPU stand-in)" is the device's name. Kernels run
// in the emulator.
//
// Streams are lazy: work is queued and runs only when somebody waits for it, and then only as much as that
// needs. A missing wait therefore gives a stale value every time, not once in a thousand runs. A fault makes
// the call that waited return cudaErrorLaunchFailure, whose text is the fault's. Copies demand what real ones
// do: device memory that is alive, and page-locked host memory.
//
// While a stream is captured, work is kept for the graph. What CUDA refuses then is refused and ends the
// capture: waiting for a captured stream or event, asking the driver for memory unless the thread's mode is
// relaxed, streams that are not tied together by events.

#include <cstdint>
#include <string>

namespace nogpu {

// The machine that the stand-in plays.
struct Machine {
  int devices = 1;
  int driver = 13000;  // cudaDriverGetVersion; 0: no driver
  int major = 9, minor = 0;
  int64_t memory = int64_t{1} << 30;  // of the device; a cudaMalloc beyond it fails
};
void set_machine(const Machine& machine);

int64_t device_bytes_in_use();
int64_t cuda_mallocs();      // calls of cudaMalloc since the start
int64_t host_allocations();  // page-locked buffers alive
int64_t live_handles();      // streams, events and graphs alive
int64_t queued_operations();
// What ended the last grid, "" if nothing did; cleared by reading.
std::string take_fault();
// What was wrong about the latest capture, "" if nothing was; cleared by reading.
std::string take_capture_mistake();

}  // namespace nogpu
