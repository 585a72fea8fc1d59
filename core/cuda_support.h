#pragma once
// What of CUDA this build and machine offer. Answers in every build.

#include <string>
#include <vector>

#include "tern/core/device.h"

namespace tern {

struct CudaPart {
  std::string name;  // "driver", "gpu", "cuDNN", "cuBLAS"
  bool found;
  std::string detail;  // its version, or the reason why it is missing and what to do
};

struct CudaSupport {
  bool built = false;  // whether the backend is compiled in
  std::vector<CudaPart> parts;
  std::vector<std::string> devices;  // "cuda:0 NVIDIA H100, sm_90, 81559 MiB"
};

CudaSupport cuda_support();

// Throws DeviceError, saying what is missing and what to do, unless tensors can live on the device.
void require_device(Device device);

// Returns when everything that was issued to the device is done.
void wait_for_device(Device device);

namespace cu {
CudaSupport cuda_support();
void wait_for_device(Device device);
void require_usable(Device device);
}  // namespace cu

}  // namespace tern
