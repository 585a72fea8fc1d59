#include "tern/cuda/runtime.h"

#include <array>

#include "tern/core/cuda_support.h"
#include "tern/core/error.h"
#include "tern/cuda/dnn_cache.h"
#include "tern/cuda/gemm.h"

namespace tern::cu {
namespace {

constexpr int kMaxDevices = 16;
std::mutex runtimes_mutex;

// Never destroyed: at exit the driver may be gone before a static destructor would run.
std::array<Runtime*, kMaxDevices>& runtimes() {
  static auto* all = new std::array<Runtime*, kMaxDevices>{};
  return *all;
}

DeviceProperties read_properties(int device) {
  cudaDeviceProp p{};
  TERN_CUDA_CALL(cudaGetDeviceProperties(&p, device));
  return {p.name, p.major, p.minor, p.multiProcessorCount, static_cast<int64_t>(p.totalGlobalMem)};
}

// Every member that follows allocates on the current device.
int made_current(int device) {
  TERN_CUDA_CALL(cudaSetDevice(device));
  return device;
}

}  // namespace

Runtime::Runtime(int device)
    : device_(made_current(device)),
      properties_(read_properties(device)),
      allocator_(device),
      staging_(copy_.get(), compute_.get()),
      gemm_plans_(std::make_unique<GemmPlans>()) {}

Runtime::~Runtime() {
  dnn_plans_.reset();  // before the handle that they were made with
  gemm_plans_.reset();
  if (cudnn_) vendor::cudnn().Destroy(cudnn_);
  if (cublaslt_) vendor::cublaslt().Destroy(cublaslt_);
}

cudnnHandle_t Runtime::cudnn() {
  std::lock_guard lock(handles_mutex_);
  if (!cudnn_) {
    const vendor::Cudnn& library = vendor::cudnn();
    TERN_CUDNN_CALL(library.Create(&cudnn_));
    TERN_CUDNN_CALL(library.SetStream(cudnn_, compute_.get()));
  }
  return cudnn_;
}

cublasLtHandle_t Runtime::cublaslt() {
  std::lock_guard lock(handles_mutex_);
  if (!cublaslt_) TERN_CUBLAS_CALL(vendor::cublaslt().Create(&cublaslt_));
  return cublaslt_;
}

dnn::PlanCache& Runtime::dnn_plans() {
  const cudnnHandle_t handle = cudnn();
  std::lock_guard lock(plans_mutex_);
  if (!dnn_plans_)
    dnn_plans_ = std::make_unique<dnn::PlanCache>(dnn::Target(handle, properties_.name),
                                                  dnn::tuned_plans_file(properties_.name));
  return *dnn_plans_;
}

void Runtime::synchronize() {
  TERN_CUDA_CALL(cudaStreamSynchronize(copy_.get()));
  TERN_CUDA_CALL(cudaStreamSynchronize(compute_.get()));
}

void wait_for_device(Device device) { runtime(device).synchronize(); }

Runtime& runtime(Device device) {
  check<DeviceError>(device.is_cuda() && device.index >= 0 && device.index < kMaxDevices, "device ",
                     to_string(device), ": not a CUDA device that can be used; hint: cuda:0 to cuda:15");
  thread_local int current = -1;
  std::lock_guard lock(runtimes_mutex);
  Runtime*& slot = runtimes()[static_cast<size_t>(device.index)];
  if (!slot) {
    require_usable(device);
    slot = new Runtime(device.index);
    current = device.index;
  }
  if (current != device.index) current = made_current(device.index);
  return *slot;
}

void reset_runtimes_for_test() {
  std::lock_guard lock(runtimes_mutex);
  for (Runtime*& slot : runtimes()) {
    delete slot;
    slot = nullptr;
  }
}

}  // namespace tern::cu
