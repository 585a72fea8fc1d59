#include "tern/cuda/error.h"

#include <cstdlib>
#include <string>
#include <string_view>

#include "tern/core/error.h"
#include "tern/cuda/vendor.h"

namespace tern::cu {
namespace {

// A fault inside a kernel is sticky: the device is unusable for the rest of the process.
bool is_sticky(cudaError_t status) {
  return status == cudaErrorIllegalAddress || status == cudaErrorLaunchFailure || status == cudaErrorAssert ||
         status == cudaErrorMisalignedAddress || status == cudaErrorHardwareStackError ||
         status == cudaErrorIllegalInstruction || status == cudaErrorInvalidAddressSpace;
}

[[noreturn]] void fail(cudaError_t status, std::string_view call) {
  const std::string text = concat_text("cuda: ", call, " failed: ", cudaGetErrorName(status), " (",
                                       cudaGetErrorString(status), ")");
  if (status == cudaErrorMemoryAllocation)
    throw MemoryError(text + "; hint: use a smaller batch or image size");
  if (is_sticky(status))
    throw DeviceError(text +
                      "; hint: the fault is an earlier kernel's; run again with TERN_SYNC=1 to name it");
  throw DeviceError(text);
}

}  // namespace

void check_cuda(cudaError_t status, const char* call) {
  if (status == cudaSuccess) [[likely]]
    return;
  cudaGetLastError();  // what is reported here must not be reported again by the next launch
  fail(status, call);
}

void check_cudnn(cudnnStatus_t status, const char* call) {
  if (status == CUDNN_STATUS_SUCCESS) [[likely]]
    return;
  char detail[512] = "";
  vendor::cudnn().GetLastErrorString(detail, sizeof detail);
  throw DeviceError(
      concat_text("cudnn: ", call, " failed: ", vendor::cudnn().GetErrorString(status), " (", detail, ")"));
}

void check_cublas(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) [[likely]]
    return;
  throw DeviceError(concat_text("cublas: ", call, " failed: ", vendor::cublaslt().GetStatusName(status), " (",
                                vendor::cublaslt().GetStatusString(status), ")"));
}

bool waits_after_launches() {
  static const bool on = [] {
    const char* text = std::getenv("TERN_SYNC");
    return text && std::string_view(text) == "1";
  }();
  return on;
}

void check_launch(const char* kernel, cudaStream_t stream) {
  cudaError_t status = cudaGetLastError();
  if (status == cudaSuccess && waits_after_launches()) status = cudaStreamSynchronize(stream);
  if (status == cudaSuccess) [[likely]]
    return;
  fail(status, concat_text("kernel ", kernel));
}

}  // namespace tern::cu
