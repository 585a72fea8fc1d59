#include "tern/cuda/staging.h"

#include <algorithm>
#include <cstring>

#include "tern/core/error.h"

namespace tern::cu {

// The buffer used longest ago, free to be written.
Staging::Slot& Staging::next_slot() {
  Slot& slot = slots_[next_];
  next_ = (next_ + 1) % slots_.size();
  if (!slot.buffer) {
    slot.buffer = std::make_unique<PinnedBuffer>(static_cast<size_t>(kBufferBytes));
    slot.sent = std::make_unique<EventHandle>();
  } else {
    slot.sent->wait_on_host();
  }
  return slot;
}

void Staging::refuse_while_recorded(const char* what) const {
  cudaStreamCaptureStatus status{};
  TERN_CUDA_CALL(cudaStreamIsCapturing(compute_, &status));
  check<DeviceError>(status == cudaStreamCaptureStatusNone, "cuda: ", what,
                     " cannot be part of a step that is recorded and replayed");
}

void Staging::upload(void* device, const void* host, int64_t bytes) {
  refuse_while_recorded("an upload");
  std::lock_guard lock(mutex_);
  auto* to = static_cast<char*>(device);
  const auto* from = static_cast<const char*>(host);
  EventHandle computed;
  computed.record(compute_);
  computed.wait_on(copy_);
  while (bytes > 0) {
    const auto piece = static_cast<size_t>(std::min(bytes, kBufferBytes));
    Slot& slot = next_slot();
    std::memcpy(slot.buffer->data(), from, piece);
    TERN_CUDA_CALL(cudaMemcpyAsync(to, slot.buffer->data(), piece, cudaMemcpyHostToDevice, copy_));
    slot.sent->record(copy_);
    slot.sent->wait_on(compute_);
    to += piece;
    from += piece;
    bytes -= static_cast<int64_t>(piece);
  }
}

void Staging::download(void* host, const void* device, int64_t bytes) {
  refuse_while_recorded("a number that the host waits for");
  std::lock_guard lock(mutex_);
  auto* to = static_cast<char*>(host);
  const auto* from = static_cast<const char*>(device);
  while (bytes > 0) {
    const auto piece = static_cast<size_t>(std::min(bytes, kBufferBytes));
    Slot& slot = next_slot();
    TERN_CUDA_CALL(cudaMemcpyAsync(slot.buffer->data(), from, piece, cudaMemcpyDeviceToHost, compute_));
    slot.sent->record(compute_);
    slot.sent->wait_on_host();
    std::memcpy(to, slot.buffer->data(), piece);
    to += piece;
    from += piece;
    bytes -= static_cast<int64_t>(piece);
  }
}

}  // namespace tern::cu
