#include "tern/tests/nogpu/cudart.h"

#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "tern/tests/nogpu/checker.h"
#include "tern/tests/nogpu/emulator.h"
#include "tern/tests/nogpu/grid.h"
#include "tern/tests/nogpu/library_memory.h"
#include "tern/tests/nogpu/streams.h"

namespace nogpu {

World& world() {
  static auto* all = new World;
  return *all;
}

Stream* stream_of(cudaStream_t stream) {
  if (!stream) throw Fault("the legacy default stream is not used here");
  return reinterpret_cast<Stream*>(stream);
}

void drain(Stream* stream, int64_t upto) {
  if (stream->done >= upto) return;
  if (stream->draining) throw Fault("two streams wait for each other");
  stream->draining = true;
  struct Reset {
    Stream* stream;
    ~Reset() { stream->draining = false; }
  } reset{stream};
  while (stream->done < upto && !stream->queue.empty()) {
    const Operation operation = std::move(stream->queue.front());
    stream->queue.pop_front();
    ++stream->done;
    if (operation.other) drain(operation.other, operation.upto);
    if (operation.run) operation.run();
  }
}

void drain_all() {
  for (Stream* stream : world().streams) drain(stream, stream->issued);
}

void put(Stream* stream, Operation operation) {
  if (put_in_capture(stream, operation)) return;
  stream->queue.push_back(std::move(operation));
  ++stream->issued;
}

cudaError_t result(cudaError_t status) {
  if (status != cudaSuccess) world().last = status;
  return status;
}

cudaError_t fail(const Fault& fault) {
  world().fault_text = fault.what();
  for (Stream* stream : world().streams) {
    stream->queue.clear();
    stream->done = stream->issued;
  }
  return result(cudaErrorLaunchFailure);
}

namespace {

bool is_page_locked(const void* data, size_t bytes) {
  const auto& host = world().host;
  const auto next = host.upper_bound(const_cast<void*>(data));
  if (next == host.begin()) return false;
  const auto& [start, size] = *std::prev(next);
  return static_cast<const char*>(data) + bytes <= static_cast<const char*>(start) + size;
}

void copy_now(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const bool to_device = kind != cudaMemcpyDeviceToHost, from_device = kind != cudaMemcpyHostToDevice;
  if (to_device ? !is_device_memory(to, bytes) : !is_page_locked(to, bytes))
    throw Fault(to_device ? "a copy writes outside of device memory"
                          : "a copy writes host memory that is not page-locked");
  if (from_device ? !is_device_memory(from, bytes) : !is_page_locked(from, bytes))
    throw Fault(from_device ? "a copy reads outside of device memory"
                            : "a copy reads host memory that is not page-locked");
  if (from_device && !device_was_written(from, bytes))
    throw Fault("a copy reads device memory that nobody wrote");
  std::memcpy(to, from, bytes);
  if (to_device) device_written(to, bytes);
}

}  // namespace

void set_machine(const Machine& machine) { world().machine = machine; }
int64_t device_bytes_in_use() { return world().device_bytes; }
int64_t cuda_mallocs() { return world().mallocs; }
int64_t host_allocations() { return static_cast<int64_t>(world().host.size()); }
int64_t live_handles() { return world().handles; }
int64_t queued_operations() {
  int64_t queued = 0;
  for (const Stream* stream : world().streams) queued += static_cast<int64_t>(stream->queue.size());
  return queued;
}
std::string take_fault() { return std::exchange(world().fault_text, ""); }

void enqueue_grid(const char* kernel, dim3 size, dim3 block, size_t shared_bytes, cudaStream_t stream,
                  Call call) {
  put(stream_of(stream), {[=] { run_grid(kernel, size, block, shared_bytes, call); }});
}

void enqueue_library_call(cudaStream_t stream, std::function<void()> work) {
  put(stream_of(stream), {std::move(work)});
}

}  // namespace nogpu

using namespace nogpu;  // NOLINT: the rest of the file is C's

extern "C" {

cudaError_t cudaDriverGetVersion(int* version) {
  *version = world().machine.driver;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = world().machine.devices;
  return *count ? cudaSuccess : result(cudaErrorNoDevice);
}
cudaError_t cudaSetDevice(int device) {
  return device < world().machine.devices ? cudaSuccess : result(cudaErrorInvalidDevice);
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  if (device >= world().machine.devices) return result(cudaErrorInvalidDevice);
  *p = {};
  std::strcpy(p->name, "no GPU (CPU stand-in)");
  p->major = world().machine.major;
  p->minor = world().machine.minor;
  p->multiProcessorCount = 4;
  p->totalGlobalMem = static_cast<size_t>(world().machine.memory);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = static_cast<size_t>(world().machine.memory);
  *free = *total - static_cast<size_t>(world().device_bytes);
  return cudaSuccess;
}
cudaError_t cudaGetLastError() { return std::exchange(world().last, cudaSuccess); }
const char* cudaGetErrorName(cudaError_t status) {
  switch (status) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated: return "cudaErrorStreamCaptureInvalidated";
    case cudaErrorStreamCaptureUnjoined: return "cudaErrorStreamCaptureUnjoined";
    case cudaErrorStreamCaptureIsolation: return "cudaErrorStreamCaptureIsolation";
    case cudaErrorCapturedEvent: return "cudaErrorCapturedEvent";
    default: return "an error of the stand-in";
  }
}
const char* cudaGetErrorString(cudaError_t status) {
  return status == cudaErrorLaunchFailure ? world().fault_text.c_str() : cudaGetErrorName(status);
}

cudaError_t cudaMalloc(void** data, size_t bytes) {
  World& w = world();
  if (const auto refused = refuse_in_capture("cudaMalloc")) return *refused;
  ++w.mallocs;
  if (w.device_bytes + static_cast<int64_t>(bytes) > w.machine.memory)
    return result(cudaErrorMemoryAllocation);
  *data = device_allocate(bytes);
  w.device.emplace(*data, bytes);
  w.device_bytes += static_cast<int64_t>(bytes);
  return cudaSuccess;
}
cudaError_t cudaFree(void* data) {
  if (!data) return cudaSuccess;
  if (const auto refused = refuse_in_capture("cudaFree")) return *refused;
  return guarded([&] {
    drain_all();  // as the real one: nothing may still use the memory
    const auto found = world().device.find(data);
    if (found != world().device.end()) {
      world().device_bytes -= static_cast<int64_t>(found->second);
      world().device.erase(found);
    }
    device_free(data);
  });
}
cudaError_t cudaMallocHost(void** data, size_t bytes) {
  if (const auto refused = refuse_in_capture("cudaMallocHost")) return *refused;
  *data = std::malloc(bytes);
  world().host.emplace(*data, bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* data) {
  if (const auto refused = refuse_in_capture("cudaFreeHost")) return *refused;
  const cudaError_t status = guarded([] { drain_all(); });
  world().host.erase(data);
  std::free(data);
  return status;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return guarded([&] { put(stream_of(stream), {[=] { copy_now(to, from, bytes, kind); }}); });
}
cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t stream) {
  return guarded([&] {
    put(stream_of(stream), {[=] {
          if (!is_device_memory(data, bytes)) throw Fault("cudaMemsetAsync writes outside of device memory");
          std::memset(data, value, bytes);
          device_written(data, bytes);
        }});
  });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  auto* made = new Stream;
  world().streams.insert(made);
  ++world().handles;
  *stream = reinterpret_cast<cudaStream_t>(made);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (const auto refused = refuse_wait_for(stream)) return *refused;
  return guarded([&] { drain(stream_of(stream), stream_of(stream)->issued); });
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const cudaError_t status = cudaStreamSynchronize(stream);
  world().streams.erase(stream_of(stream));
  --world().handles;
  delete stream_of(stream);
  return status;
}
cudaError_t cudaDeviceSynchronize() {
  if (const auto refused = refuse_in_capture("cudaDeviceSynchronize")) return *refused;
  return guarded([] { drain_all(); });
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const auto* e = reinterpret_cast<Event*>(event);
  if (const auto answered = wait_in_capture(stream_of(stream), *e)) return *answered;
  if (e->stream) put(stream_of(stream), {{}, e->stream, e->upto});
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  ++world().handles;
  *event = reinterpret_cast<cudaEvent_t>(new Event);
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  --world().handles;
  delete reinterpret_cast<Event*>(event);
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  *reinterpret_cast<Event*>(event) = recorded_event(stream_of(stream));
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const auto* e = reinterpret_cast<Event*>(event);
  if (e->capture)
    return invalidate(cudaErrorCapturedEvent, "the host waits for an event of a captured stream");
  return guarded([&] {
    if (e->stream) drain(e->stream, e->upto);
  });
}

}  // extern "C"
