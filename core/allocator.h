#pragma once
// The caching allocator: freed memory is kept (blocks of up to a mebibyte per size class, the smallest
// without a lock, core/small_blocks.h; large ones in one range of addresses, core/large_blocks.h) and handed
// out again, so that a steady training step asks the operating system for nothing. A request beyond the
// available memory (MemAvailable, cgroup limit) is refused with MemoryError before it is touched.

#include <cstdint>

#include "tern/core/device.h"

namespace tern {

struct MemoryStats {
  int64_t in_use = 0;              // bytes handed out now
  int64_t peak_in_use = 0;         // highest in_use since reset_peak_memory()
  int64_t cached = 0;              // bytes kept for reuse
  int64_t system_allocations = 0;  // times the operating system was asked
};

void* allocate_bytes(int64_t bytes, Device device);  // 64-byte aligned; bytes == 0 gives a valid pointer
void deallocate_bytes(void* data, int64_t bytes, Device device) noexcept;

MemoryStats memory_stats(Device device = kCpu);
void reset_peak_memory(Device device = kCpu);
void release_cached_memory(Device device = kCpu);

// What the process may still take, in bytes: the smallest of MemAvailable, the cgroup's and the process's
// limits.
int64_t available_memory();

// Moves bytes within or between devices. Returns when `from` may be changed; where the target is on the CPU,
// when it is complete.
void copy_bytes(void* to, Device to_device, const void* from, Device from_device, int64_t bytes);
// n elements of element_bytes (1, 2, 4 or 8), each a copy of `element` on the host.
void fill_elements(void* data, Device device, const void* element, int64_t element_bytes, int64_t n);

// Tests: the n-th following allocation on any device (1 = the next) throws MemoryError, once, or from then
// on. 0 switches off.
void fail_allocation_for_test(int64_t nth, bool permanent = false);

namespace cu {  // what a CUDA backend provides for the above
void* allocate_bytes(int64_t bytes, Device device);
void deallocate_bytes(void* data, Device device) noexcept;
MemoryStats memory_stats(Device device);
void reset_peak_memory(Device device);
void release_cached_memory(Device device);
void copy_bytes(void* to, Device to_device, const void* from, Device from_device, int64_t bytes);
void fill_elements(void* data, Device device, const void* element, int64_t element_bytes, int64_t n);
}  // namespace cu

}  // namespace tern
