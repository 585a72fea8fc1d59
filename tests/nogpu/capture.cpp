// Stream capture and graphs of the stand-in runtime. A graph is the list of what was issued, in that order; a
// launch is one operation of its stream, run when somebody waits for it.

#include <cuda_runtime_api.h>

#include <utility>

#include "tern/tests/nogpu/streams.h"

namespace nogpu {
namespace {

struct Graph {
  std::vector<Work> work;
};

bool captures(const Stream* stream) {
  const auto& capture = world().capture;
  return capture && capture->issued.contains(const_cast<Stream*>(stream));
}

}  // namespace

cudaError_t invalidate(cudaError_t status, const std::string& mistake) {
  if (world().capture && world().capture->mistake.empty()) world().capture->mistake = mistake;
  world().mistake = mistake;
  return result(status);
}

// Stricter than CUDA, which would run the work now: whatever it is, a replay does not wait for it.
bool put_in_capture(Stream* stream, Operation& operation) {
  if (!world().capture) return false;
  if (!captures(stream)) {
    invalidate(cudaErrorStreamCaptureIsolation, "work on a stream that no event ties to the capture");
    throw Fault(world().mistake);
  }
  ++world().capture->issued[stream];
  world().capture->work.push_back(std::move(operation.run));
  return true;
}

Event recorded_event(Stream* stream) {
  if (!captures(stream)) return {stream, stream->issued, nullptr};
  return {stream, world().capture->issued[stream], world().capture.get()};
}

std::optional<cudaError_t> wait_in_capture(Stream* stream, const Event& event) {
  Capture* capture = world().capture.get();
  if (event.capture && event.capture != capture)
    return invalidate(cudaErrorCapturedEvent, "a stream waits for an event of a capture that has ended");
  if (event.capture) {
    capture->issued.try_emplace(stream);
    if (stream == capture->origin) capture->joined[event.stream] = event.upto;
    return cudaSuccess;
  }
  if (captures(stream) && event.stream)
    return invalidate(cudaErrorStreamCaptureIsolation,
                      "a captured stream waits for an event outside the capture");
  return std::nullopt;
}

std::optional<cudaError_t> refuse_in_capture(const char* call) {
  if (!world().capture || world().thread_mode == cudaStreamCaptureModeRelaxed) return std::nullopt;
  return invalidate(cudaErrorStreamCaptureUnsupported, std::string(call) + " while a stream is captured");
}

std::optional<cudaError_t> refuse_wait_for(cudaStream_t stream) {
  if (!captures(stream_of(stream))) return std::nullopt;
  return invalidate(cudaErrorStreamCaptureUnsupported, "the host waits for a captured stream");
}

std::string take_capture_mistake() { return std::exchange(world().mistake, ""); }

}  // namespace nogpu

using namespace nogpu;  // NOLINT: the rest of the file is C's

extern "C" {

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(*mode, world().thread_mode);
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (world().capture) return result(cudaErrorIllegalState);
  world().capture =
      std::make_unique<Capture>(Capture{stream_of(stream), {}, {{stream_of(stream), 0}}, {}, {}});
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  *status = !captures(stream_of(stream))       ? cudaStreamCaptureStatusNone
            : world().capture->mistake.empty() ? cudaStreamCaptureStatusActive
                                               : cudaStreamCaptureStatusInvalidated;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  if (!world().capture || world().capture->origin != stream_of(stream)) return result(cudaErrorIllegalState);
  const std::unique_ptr<Capture> capture = std::move(world().capture);
  if (!capture->mistake.empty()) return result(cudaErrorStreamCaptureInvalidated);
  for (const auto& [other, issued] : capture->issued) {
    if (other == capture->origin) continue;
    const auto joined = capture->joined.find(other);
    if (joined == capture->joined.end() || joined->second < issued)
      return invalidate(cudaErrorStreamCaptureUnjoined,
                        "the captured stream does not wait for another's work");
  }
  ++world().handles;
  *graph = reinterpret_cast<cudaGraph_t>(new Graph{std::move(capture->work)});
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  ++world().handles;
  *executable = reinterpret_cast<cudaGraphExec_t>(
      new std::shared_ptr<Graph>(std::make_shared<Graph>(*reinterpret_cast<Graph*>(graph))));
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  --world().handles;
  delete reinterpret_cast<Graph*>(graph);
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  --world().handles;
  delete reinterpret_cast<std::shared_ptr<Graph>*>(executable);
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const auto graph = *reinterpret_cast<std::shared_ptr<Graph>*>(executable);
  return guarded([&] {
    put(stream_of(stream), {[graph] {
          for (const Work& work : graph->work)
            if (work) work();
        }});
  });
}

}  // extern "C"
