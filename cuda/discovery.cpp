#include "tern/core/cuda_support.h"

#include <cuda_runtime_api.h>

#include <string>

#include "tern/core/error.h"
#include "tern/cuda/error.h"
#include "tern/cuda/vendor.h"

namespace tern::cu {
namespace {

constexpr int kOldestMajor = 8;  // bf16 convolution needs Ampere

std::string version_text(int version) { return concat_text(version / 1000, ".", version % 1000 / 10); }

CudaPart driver_part() {
  int version = 0;
  const cudaError_t status = cudaDriverGetVersion(&version);
  cudaGetLastError();
  if (status != cudaSuccess || version == 0)
    return {"driver", false, "no NVIDIA driver; hint: install one for this GPU (580 or newer), then reboot"};
  if (version / 1000 < CUDART_VERSION / 1000)
    return {"driver", false,
            concat_text("the NVIDIA driver supports CUDA ", version_text(version), ", this build needs ",
                        version_text(CUDART_VERSION), "; hint: install driver 580 or newer")};
  return {"driver", true, "for CUDA " + version_text(version)};
}

// Fills devices and gives the part that says whether one of them can be used.
CudaPart gpu_part(std::vector<std::string>& devices) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0))
    return {"gpu", false, "no NVIDIA GPU is visible; hint: look at nvidia-smi and CUDA_VISIBLE_DEVICES"};
  if (status != cudaSuccess)
    return {"gpu", false, concat_text("no GPU can be used: ", cudaGetErrorString(status))};
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp p{};
    if (cudaGetDeviceProperties(&p, i) != cudaSuccess) continue;
    std::string text =
        concat_text("cuda:", i, " ", static_cast<const char*>(p.name), ", sm_", p.major * 10 + p.minor, ", ",
                    static_cast<int64_t>(p.totalGlobalMem >> 20), " MiB");
    if (p.major < kOldestMajor) text += " (too old: sm_80 is the oldest that tern runs on)";
    devices.push_back(text);
  }
  return {"gpu", true, concat_text(count, count == 1 ? " device" : " devices")};
}

}  // namespace

CudaSupport cuda_support() {
  CudaSupport support{.built = true};
  const vendor::Status cudnn = vendor::cudnn_status(), cublas = vendor::cublaslt_status();
  support.parts.push_back(driver_part());
  if (support.parts.back().found) support.parts.push_back(gpu_part(support.devices));
  support.parts.push_back({"cuDNN", cudnn.found, cudnn.detail});
  support.parts.push_back({"cuBLAS", cublas.found, cublas.detail});
  return support;
}

void require_usable(Device device) {
  const CudaSupport support = cuda_support();
  std::string missing;
  for (const CudaPart& part : support.parts)
    if (!part.found) missing += (missing.empty() ? "" : "; besides, ") + part.detail;
  check<DeviceError>(missing.empty(), "device ", to_string(device), ": CUDA cannot be used: ", missing,
                     "; or compute on the CPU with --device cpu");
  check<DeviceError>(device.index < static_cast<int>(support.devices.size()), "device ", to_string(device),
                     ": there are ", support.devices.size(), "; hint: tern info lists them");
  cudaDeviceProp p{};
  TERN_CUDA_CALL(cudaGetDeviceProperties(&p, device.index));
  check<DeviceError>(p.major >= kOldestMajor, "device ", to_string(device), ": ",
                     static_cast<const char*>(p.name),
                     " is too old; hint: tern runs on sm_80 (Ampere) and newer");
}

}  // namespace tern::cu
