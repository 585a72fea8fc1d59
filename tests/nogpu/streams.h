#pragma once
// The inside of the stand-in for libcudart: streams and their work (cudart.cpp), capture and graphs
// (capture.cpp).

#include <cuda_runtime_api.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tern/tests/nogpu/cudart.h"
#include "tern/tests/nogpu/emulator.h"

namespace nogpu {

using Work = std::function<void()>;

struct Stream;
struct Operation {
  Work run;
  Stream* other = nullptr;  // waits until this stream has done `upto` operations
  int64_t upto = 0;
};
struct Stream {
  std::deque<Operation> queue;
  int64_t issued = 0, done = 0;
  bool draining = false;
};

// What the captured streams were given, in the order of issue.
struct Capture {
  Stream* origin;
  std::vector<Work> work;
  std::map<Stream*, int64_t> issued, joined;  // by stream: how much; how much of it the origin has waited for
  std::string mistake;                        // "" while it is valid
};

struct Event {
  Stream* stream = nullptr;
  int64_t upto = 0;
  const Capture* capture = nullptr;  // the one it belongs to, if any
};

struct World {
  Machine machine;
  std::set<Stream*> streams;
  std::map<void*, size_t> device, host;
  int64_t device_bytes = 0, mallocs = 0, handles = 0;
  std::string fault_text, mistake;  // mistake: of the latest capture
  cudaError_t last = cudaSuccess;
  std::unique_ptr<Capture> capture;  // in progress
  cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;
};
World& world();

Stream* stream_of(cudaStream_t stream);
void drain(Stream* stream, int64_t upto);
void drain_all();
void put(Stream* stream, Operation operation);
cudaError_t result(cudaError_t status);
cudaError_t fail(const Fault& fault);

// Runs f; a fault becomes the error that a GPU would report at this call. What is still queued is dropped.
template <class F>
cudaError_t guarded(F&& f) {
  try {
    f();
    return cudaSuccess;
  } catch (const Fault& fault) {
    return fail(fault);
  }
}

// ---- capture: each gives nothing, or false, where no capture is concerned ----

bool put_in_capture(Stream* stream, Operation& operation);
std::optional<cudaError_t> wait_in_capture(Stream* stream, const Event& event);
Event recorded_event(Stream* stream);
// A call that no thread may make while it captures, unless its mode is relaxed.
std::optional<cudaError_t> refuse_in_capture(const char* call);
std::optional<cudaError_t> refuse_wait_for(cudaStream_t stream);
cudaError_t invalidate(cudaError_t status, const std::string& mistake);

}  // namespace nogpu
