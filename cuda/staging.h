#pragma once
// Moves bytes between the host and a device through two page-locked buffers, so that one is filled by the
// host while the other is on its way. Uploads run on the copy stream; the compute stream waits for them, the
// host does not.
//
//   upload    wait until the copy stream has read the buffer; memcpy into it; copy on the copy stream;
//             record the buffer's event; the compute stream waits for the event
//   download  copy on the compute stream, which has computed the bytes; wait; memcpy out
//
// Neither can be part of work that is recorded (cuda/step_graph.cpp): both throw DeviceError there, before
// anything is queued. A target of an upload may be memory that a kernel on the compute stream still uses: the
// copy stream therefore waits for the compute stream first.

#include <cuda_runtime_api.h>

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>

#include "tern/cuda/handles.h"

namespace tern::cu {

class Staging {
 public:
  static constexpr int64_t kBufferBytes = int64_t{4} << 20;

  Staging(cudaStream_t copy, cudaStream_t compute) : copy_(copy), compute_(compute) {}

  void upload(void* device, const void* host, int64_t bytes);    // returns when host may be changed
  void download(void* host, const void* device, int64_t bytes);  // returns when host is complete

 private:
  struct Slot {
    std::unique_ptr<PinnedBuffer> buffer;
    std::unique_ptr<EventHandle> sent;  // of the last upload out of buffer
  };
  Slot& next_slot();
  void refuse_while_recorded(const char* what) const;

  cudaStream_t copy_, compute_;
  std::mutex mutex_;
  std::array<Slot, 2> slots_;
  size_t next_ = 0;
};

}  // namespace tern::cu
