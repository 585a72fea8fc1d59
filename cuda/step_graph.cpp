// Work recorded as a CUDA graph (core/device_step.h): what is issued on the compute stream while it is
// captured. Capture is thread-local: calls that wait or that give memory back are refused by the runtime, on
// this thread, and end it. Memory comes from a pool that is the graph's (cuda/allocator.h).

#include "tern/core/device_step.h"
#include "tern/core/error.h"
#include "tern/cuda/runtime.h"

namespace tern::cu {
namespace {

class GraphRecording final : public Recording {
 public:
  GraphRecording(Device device, const std::function<void()>& body)
      : gpu_(runtime(device)), steps_later_(Tensor::empty({1}, {DType::I64, device})) {
    check<DeviceError>(!waits_after_launches(),
                       "cuda: nothing is recorded while TERN_SYNC=1 waits for every kernel");
    gpu_.synchronize();
    gpu_.allocator().release_cached();  // for the pool, which takes its own
    pool_ = gpu_.allocator().begin_pool();
    try {
      capture(body);
    } catch (...) {
      discard();
      throw;
    }
  }
  ~GraphRecording() override { discard(); }

  void replay(int64_t steps_later) override {
    steps_later_.fill(static_cast<double>(steps_later));
    TERN_CUDA_CALL(cudaGraphLaunch(executable_, gpu_.compute_stream()));
  }

 private:
  void capture(const std::function<void()>& body) {
    const cudaStream_t stream = gpu_.compute_stream();
    TERN_CUDA_CALL(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    gpu_.set_steps_later(static_cast<const int64_t*>(steps_later_.raw_data()));
    cudaGraph_t graph = nullptr;
    try {
      body();
    } catch (...) {
      end_recording();
      cudaStreamEndCapture(stream, &graph);  // fails where a refused call has ended the capture already
      cudaGetLastError();
      if (graph) cudaGraphDestroy(graph);
      throw;
    }
    end_recording();
    TERN_CUDA_CALL(cudaStreamEndCapture(stream, &graph));
    const cudaError_t status = cudaGraphInstantiate(&executable_, graph, 0);
    cudaGraphDestroy(graph);
    check_cuda(status, "cudaGraphInstantiate(&executable_, graph, 0)");
  }

  void end_recording() {
    gpu_.set_steps_later(nullptr);
    gpu_.allocator().end_pool();
  }

  // What a launch that is still running uses is handed out for work of the same stream, which comes after it.
  void discard() noexcept {
    gpu_.allocator().end_pool();
    if (executable_) cudaGraphExecDestroy(executable_);
    gpu_.allocator().drop_pool(pool_);
  }

  Runtime& gpu_;
  Tensor steps_later_;  // i64 [1], written before each replay
  int pool_ = 0;
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace

std::unique_ptr<Recording> record_work(Device device, const std::function<void()>& body) {
  return std::make_unique<GraphRecording>(device, body);
}

}  // namespace tern::cu
