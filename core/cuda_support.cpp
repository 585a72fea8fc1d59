#include "tern/core/cuda_support.h"

#include "tern/core/error.h"

namespace tern {

CudaSupport cuda_support() {
  return on_device(
      Device{DeviceType::Cuda}, [] { return CudaSupport{}; }, [] { return cu::cuda_support(); });
}

void require_device(Device device) {
  if (device.is_cpu()) return;
  on_device(
      device,
      [&] {
        throw DeviceError(concat_text("device ", device,
                                      ": this build of tern has no CUDA backend; hint: use --device cpu, or "
                                      "build with -DTERN_CUDA=ON where the CUDA toolkit is installed"));
      },
      [&] { cu::require_usable(device); });
}

void wait_for_device(Device device) {
  on_device(
      device, [] {}, [&] { cu::wait_for_device(device); });
}

}  // namespace tern
