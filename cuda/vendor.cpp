#include "tern/cuda/vendor.h"

#include <dlfcn.h>

#include <atomic>

#include "tern/core/error.h"

namespace tern::cu::vendor {
namespace {

template <class Table>
struct Library {
  Table table;
  Status status;
};

// The loader's own search first, then where the toolkit's packages put the library.
void* open_library(const char* soname) {
  for (const std::string folder : {"", "/usr/local/cuda/lib64/", "/usr/lib/x86_64-linux-gnu/"}) {
    if (void* handle = dlopen((folder + soname).c_str(), RTLD_NOW | RTLD_LOCAL)) return handle;
  }
  return nullptr;
}

template <class Entry>
void load(void* handle, const char* symbol, Entry& entry, std::string& missing) {
  entry = reinterpret_cast<Entry>(dlsym(handle, symbol));
  if (!entry) missing += std::string(missing.empty() ? "" : ", ") + symbol;
}

std::string load_all(void* handle, Cudnn& t) {
  std::string missing;
  load(handle, "cudnnGetVersion", t.GetVersion, missing);
  load(handle, "cudnnGetErrorString", t.GetErrorString, missing);
  load(handle, "cudnnGetLastErrorString", t.GetLastErrorString, missing);
  load(handle, "cudnnCreate", t.Create, missing);
  load(handle, "cudnnDestroy", t.Destroy, missing);
  load(handle, "cudnnSetStream", t.SetStream, missing);
  load(handle, "cudnnBackendCreateDescriptor", t.CreateDescriptor, missing);
  load(handle, "cudnnBackendDestroyDescriptor", t.DestroyDescriptor, missing);
  load(handle, "cudnnBackendSetAttribute", t.SetAttribute, missing);
  load(handle, "cudnnBackendGetAttribute", t.GetAttribute, missing);
  load(handle, "cudnnBackendFinalize", t.Finalize, missing);
  load(handle, "cudnnBackendExecute", t.Execute, missing);
  return missing;
}

std::string load_all(void* handle, CublasLt& t) {
  std::string missing;
  load(handle, "cublasLtGetVersion", t.GetVersion, missing);
  load(handle, "cublasLtGetStatusName", t.GetStatusName, missing);
  load(handle, "cublasLtGetStatusString", t.GetStatusString, missing);
  load(handle, "cublasLtCreate", t.Create, missing);
  load(handle, "cublasLtDestroy", t.Destroy, missing);
  load(handle, "cublasLtMatmulDescCreate", t.MatmulDescCreate, missing);
  load(handle, "cublasLtMatmulDescDestroy", t.MatmulDescDestroy, missing);
  load(handle, "cublasLtMatmulDescSetAttribute", t.MatmulDescSetAttribute, missing);
  load(handle, "cublasLtMatrixLayoutCreate", t.MatrixLayoutCreate, missing);
  load(handle, "cublasLtMatrixLayoutDestroy", t.MatrixLayoutDestroy, missing);
  load(handle, "cublasLtMatmulPreferenceCreate", t.MatmulPreferenceCreate, missing);
  load(handle, "cublasLtMatmulPreferenceDestroy", t.MatmulPreferenceDestroy, missing);
  load(handle, "cublasLtMatmulPreferenceSetAttribute", t.MatmulPreferenceSetAttribute, missing);
  load(handle, "cublasLtMatmulAlgoGetHeuristic", t.MatmulAlgoGetHeuristic, missing);
  load(handle, "cublasLtMatmul", t.Matmul, missing);
  return missing;
}

Library<Cudnn> open_cudnn() {
  Library<Cudnn> library;
  void* handle = open_library("libcudnn.so.9");
  if (!handle) {
    library.status.detail =
        "libcudnn.so.9 not found; hint: install cuDNN 9 for CUDA 13 (package libcudnn9-cuda-13 of NVIDIA's "
        "repository, "
        "or pip install nvidia-cudnn-cu13 and add its lib folder to LD_LIBRARY_PATH)";
    return library;
  }
  const std::string missing = load_all(handle, library.table);
  if (!missing.empty()) {
    library.status.detail = "libcudnn.so.9 lacks " + missing + "; hint: install a newer cuDNN 9";
    return library;
  }
  const size_t version = library.table.GetVersion();
  library.status = {true, concat_text(version / 10000, ".", version / 100 % 100, ".", version % 100)};
  return library;
}

Library<CublasLt> open_cublaslt() {
  Library<CublasLt> library;
  void* handle = open_library("libcublasLt.so.13");
  if (!handle) {
    library.status.detail =
        "libcublasLt.so.13 not found; hint: install cuBLAS for CUDA 13 (package libcublas-13-0 of NVIDIA's "
        "repository, "
        "or pip install nvidia-cublas and add its lib folder to LD_LIBRARY_PATH)";
    return library;
  }
  const std::string missing = load_all(handle, library.table);
  if (!missing.empty()) {
    library.status.detail = "libcublasLt.so.13 lacks " + missing + "; hint: install a newer cuBLAS 13";
    return library;
  }
  const size_t version = library.table.GetVersion();
  library.status = {true, concat_text(version / 10000, ".", version / 100 % 100, ".", version % 100)};
  return library;
}

const Library<Cudnn>& cudnn_library() {
  static const Library<Cudnn> library = open_cudnn();
  return library;
}
const Library<CublasLt>& cublaslt_library() {
  static const Library<CublasLt> library = open_cublaslt();
  return library;
}

std::atomic<const Cudnn*> cudnn_stand_in{nullptr};
std::atomic<const CublasLt*> cublaslt_stand_in{nullptr};

}  // namespace

Status cudnn_status() {
  return cudnn_stand_in ? Status{true, "no GPU (CPU stand-in)"} : cudnn_library().status;
}
Status cublaslt_status() {
  return cublaslt_stand_in ? Status{true, "no GPU (CPU stand-in)"} : cublaslt_library().status;
}

const Cudnn& cudnn() {
  if (const Cudnn* table = cudnn_stand_in) return *table;
  const auto& library = cudnn_library();
  check<DeviceError>(library.status.found, "cuda: ", library.status.detail);
  return library.table;
}

const CublasLt& cublaslt() {
  if (const CublasLt* table = cublaslt_stand_in) return *table;
  const auto& library = cublaslt_library();
  check<DeviceError>(library.status.found, "cuda: ", library.status.detail);
  return library.table;
}

void use_stand_ins(const Cudnn* cudnn, const CublasLt* cublaslt) {
  cudnn_stand_in = cudnn;
  cublaslt_stand_in = cublaslt;
}

}  // namespace tern::cu::vendor
