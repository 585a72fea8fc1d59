#pragma once
// One GPU in use: its properties, streams, library handles, memory and staging buffers. Made on first use.
//
// All kernels and library calls run on the compute stream, in the order they are issued; uploads run on the
// copy stream beside them. Work is handed over between the two by events only.

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "tern/core/device.h"
#include "tern/cuda/allocator.h"
#include "tern/cuda/handles.h"
#include "tern/cuda/staging.h"
#include "tern/cuda/vendor.h"

namespace tern::cu {

class GemmPlans;
namespace dnn {
class PlanCache;
}

struct DeviceProperties {
  std::string name;
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  int64_t bytes = 0;  // of device memory
};

class Runtime {
 public:
  explicit Runtime(int device);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const DeviceProperties& properties() const { return properties_; }
  cudaStream_t compute_stream() const { return compute_.get(); }
  cudaStream_t copy_stream() const { return copy_.get(); }
  CachingAllocator& allocator() { return allocator_; }
  Staging& staging() { return staging_; }

  // Made on first use, bound to the compute stream. Throw DeviceError where the library is missing.
  cudnnHandle_t cudnn();
  cublasLtHandle_t cublaslt();
  // What cuDNN and cuBLASLt have planned for this device so far. Made on first use.
  dnn::PlanCache& dnn_plans();
  GemmPlans& gemm_plans() { return *gemm_plans_; }
  // cuDNN's handle serves one thread at a time: held around an execution.
  std::mutex& cudnn_mutex() { return cudnn_mutex_; }

  void synchronize();  // waits until both streams are done

  // While work is recorded (cuda/step_graph.cpp): where a kernel finds how many steps after it is replayed;
  // else null.
  const int64_t* steps_later() const { return steps_later_; }
  void set_steps_later(const int64_t* on_device) { steps_later_ = on_device; }

 private:
  int device_;
  DeviceProperties properties_;
  StreamHandle compute_, copy_;
  CachingAllocator allocator_;
  Staging staging_;
  std::mutex handles_mutex_;
  cudnnHandle_t cudnn_ = nullptr;
  cublasLtHandle_t cublaslt_ = nullptr;
  std::mutex plans_mutex_, cudnn_mutex_;
  std::unique_ptr<dnn::PlanCache> dnn_plans_;
  std::unique_ptr<GemmPlans> gemm_plans_;
  const int64_t* steps_later_ = nullptr;
};

// The runtime of a device, which becomes the calling thread's current one. Throws DeviceError, saying what is
// missing, where it cannot be used.
Runtime& runtime(Device device);

// Tests: drops all runtimes; no tensor may live on a device. The next use starts anew.
void reset_runtimes_for_test();

}  // namespace tern::cu
