// A libcuda.so.1 with no GPU behind it: what cuDNN's runtime-compiled engines ask of the driver while a plan
// is made, a loaded library and a kernel's handle, is granted; everything else says CUDA_ERROR_NO_DEVICE.
// Nothing can ever be launched. cuDNN opens libcuda.so.1 by name and finds this one, because the test
// programs are linked to it.

#include <cstddef>

namespace {
constexpr int kSuccess = 0, kNoDevice = 100;
char handle;
}  // namespace

extern "C" {

int cuDriverGetVersion(int* version) {
  *version = 13000;
  return kSuccess;
}
int cuGetErrorString(int error, const char** text) {
  *text = "no GPU (libcuda stand-in)";
  return kSuccess;
}
int cuGetErrorName(int error, const char** text) { return cuGetErrorString(error, text); }

int cuLibraryLoadData(void** library, const void* code, void* jit, void* jit_values, unsigned jit_count,
                      void* options, void* values, unsigned count) {
  *library = &handle;
  return kSuccess;
}
int cuLibraryUnload(void* library) { return kSuccess; }
int cuLibraryGetKernel(void** kernel, void* library, const char* name) {
  *kernel = &handle;
  return kSuccess;
}
int cuLibraryGetKernelCount(unsigned* count, void* library) {
  *count = 1;
  return kSuccess;
}
int cuLibraryEnumerateKernels(void** kernels, unsigned count, void* library) {
  for (unsigned i = 0; i < count; ++i) kernels[i] = &handle;
  return kSuccess;
}
int cuLibraryGetModule(void** module, void* library) {
  *module = library;
  return kSuccess;
}
int cuKernelGetFunction(void** function, void* kernel) {
  *function = kernel;
  return kSuccess;
}
int cuKernelSetAttribute(int attribute, int value, void* kernel, int device) { return kSuccess; }
int cuKernelGetAttribute(int* value, int attribute, void* kernel, int device) {
  *value = 0;
  return kSuccess;
}
int cuFuncSetAttribute(void* function, int attribute, int value) { return kSuccess; }
int cuFuncGetAttribute(int* value, int attribute, void* function) {
  *value = 0;
  return kSuccess;
}
int cuModuleLoadData(void** module, const void* code) {
  *module = &handle;
  return kSuccess;
}
int cuModuleGetFunction(void** function, void* module, const char* name) {
  *function = &handle;
  return kSuccess;
}
int cuModuleUnload(void* module) { return kSuccess; }
// How many clusters of thread blocks fit at once: enough that no engine is refused for it.
int cuOccupancyMaxActiveClusters(int* count, void* function, const void* config) {
  *count = 32;
  return kSuccess;
}
int cuOccupancyMaxPotentialClusterSize(int* size, void* function, const void* config) {
  *size = 8;
  return kSuccess;
}
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* count, void* function, int threads, size_t shared) {
  *count = 1;
  return kSuccess;
}
int cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* count, void* function, int threads,
                                                         size_t shared, unsigned flags) {
  return cuOccupancyMaxActiveBlocksPerMultiprocessor(count, function, threads, shared);
}

// Looked up together with the ones above, never called while planning.
int cuCtxGetCurrent() { return kNoDevice; }
int cuCtxGetLimit() { return kNoDevice; }
int cuCtxPopCurrent() { return kNoDevice; }
int cuCtxPushCurrent() { return kNoDevice; }
int cuDeviceGet() { return kNoDevice; }
int cuDeviceGetCount() { return kNoDevice; }
int cuLaunchCooperativeKernel() { return kNoDevice; }
int cuLaunchKernel() { return kNoDevice; }
int cuLaunchKernelEx() { return kNoDevice; }
int cuLibraryLoadFromFile() { return kNoDevice; }
int cuLinkAddData() { return kNoDevice; }
int cuLinkComplete() { return kNoDevice; }
int cuLinkCreate() { return kNoDevice; }
int cuLinkDestroy() { return kNoDevice; }
int cuStreamGetCtx() { return kNoDevice; }

}  // extern "C"
