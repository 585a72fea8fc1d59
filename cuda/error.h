#pragma once
// Every call of a vendor library passes through one of these macros: a failure names the call as it is
// written, the library's own name for the status, and what it means. Out of memory is a MemoryError,
// everything else a DeviceError.
//
//   TERN_CUDA_CALL(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

namespace tern::cu {

void check_cuda(cudaError_t status, const char* call);
void check_cudnn(cudnnStatus_t status, const char* call);
void check_cublas(cublasStatus_t status, const char* call);

// Called after every kernel launch. A launch that was refused throws, naming the kernel. With TERN_SYNC=1 it
// also waits for the kernel, so that a fault inside it is reported here and not by some later call.
void check_launch(const char* kernel, cudaStream_t stream);
bool waits_after_launches();  // TERN_SYNC=1

}  // namespace tern::cu

#define TERN_CUDA_CALL(...) ::tern::cu::check_cuda((__VA_ARGS__), #__VA_ARGS__)
#define TERN_CUDNN_CALL(...) ::tern::cu::check_cudnn((__VA_ARGS__), #__VA_ARGS__)
#define TERN_CUBLAS_CALL(...) ::tern::cu::check_cublas((__VA_ARGS__), #__VA_ARGS__)
