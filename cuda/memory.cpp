// What core asks of a device's memory (declared in core/allocator.h): the allocator, and copies through the
// staging buffers.

#include "tern/core/allocator.h"

#include "tern/core/error.h"
#include "tern/cuda/runtime.h"

namespace tern::cu {

void* allocate_bytes(int64_t bytes, Device device) { return runtime(device).allocator().allocate(bytes); }
void deallocate_bytes(void* data, Device device) noexcept {
  try {
    runtime(device).allocator().deallocate(data);
  } catch (...) {
    // The device fails: its memory is lost with it.
  }
}
MemoryStats memory_stats(Device device) { return runtime(device).allocator().stats(); }
void reset_peak_memory(Device device) { runtime(device).allocator().reset_peak(); }
void release_cached_memory(Device device) { runtime(device).allocator().release_cached(); }

void copy_bytes(void* to, Device to_device, const void* from, Device from_device, int64_t bytes) {
  if (from_device.is_cpu()) return runtime(to_device).staging().upload(to, from, bytes);
  if (to_device.is_cpu()) return runtime(from_device).staging().download(to, from, bytes);
  check<DeviceError>(to_device == from_device, "copy: from ", from_device, " to ", to_device,
                     ": copies between two GPUs are not supported; hint: go through the CPU, .to(kCpu)");
  TERN_CUDA_CALL(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice,
                                 runtime(to_device).compute_stream()));
}

}  // namespace tern::cu
