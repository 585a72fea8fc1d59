#pragma once
// Owners of what the CUDA runtime hands out. Each destroys what it holds; none can be copied.

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <utility>

#include "tern/cuda/error.h"

namespace tern::cu {

// Non-blocking with respect to the legacy stream, which nothing here uses.
class StreamHandle {
 public:
  StreamHandle() { TERN_CUDA_CALL(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~StreamHandle() { cudaStreamDestroy(stream_); }
  StreamHandle(const StreamHandle&) = delete;
  StreamHandle& operator=(const StreamHandle&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

// A point in a stream's work; without timing, which would make waiting slower.
class EventHandle {
 public:
  EventHandle() { TERN_CUDA_CALL(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming)); }
  ~EventHandle() { cudaEventDestroy(event_); }
  EventHandle(const EventHandle&) = delete;
  EventHandle& operator=(const EventHandle&) = delete;

  void record(cudaStream_t stream) { TERN_CUDA_CALL(cudaEventRecord(event_, stream)); }
  void wait_on_host() const { TERN_CUDA_CALL(cudaEventSynchronize(event_)); }
  void wait_on(cudaStream_t stream) const { TERN_CUDA_CALL(cudaStreamWaitEvent(stream, event_, 0)); }

 private:
  cudaEvent_t event_ = nullptr;
};

// Page-locked host memory: the only kind that a copy engine reads and writes while the host goes on.
class PinnedBuffer {
 public:
  explicit PinnedBuffer(size_t bytes) : bytes_(bytes) { TERN_CUDA_CALL(cudaMallocHost(&data_, bytes)); }
  ~PinnedBuffer() { cudaFreeHost(data_); }
  PinnedBuffer(const PinnedBuffer&) = delete;
  PinnedBuffer& operator=(const PinnedBuffer&) = delete;
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_;
};

}  // namespace tern::cu
