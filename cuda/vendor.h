#pragma once
// cuDNN and cuBLASLt, opened at run time: the one place that names their entry points. A machine without them
// runs everything else, and asking for them says which library is missing and what to install. Tests put
// stand-ins here.

#include <cublasLt.h>
#include <cudnn.h>

#include <string>

namespace tern::cu::vendor {

// The entry points in use, named as in the library without its prefix (cudnn, cudnnBackend, cublasLt).
struct Cudnn {
  decltype(&::cudnnGetVersion) GetVersion = nullptr;
  decltype(&::cudnnGetErrorString) GetErrorString = nullptr;
  decltype(&::cudnnGetLastErrorString) GetLastErrorString = nullptr;
  decltype(&::cudnnCreate) Create = nullptr;
  decltype(&::cudnnDestroy) Destroy = nullptr;
  decltype(&::cudnnSetStream) SetStream = nullptr;
  decltype(&::cudnnBackendCreateDescriptor) CreateDescriptor = nullptr;
  decltype(&::cudnnBackendDestroyDescriptor) DestroyDescriptor = nullptr;
  decltype(&::cudnnBackendSetAttribute) SetAttribute = nullptr;
  decltype(&::cudnnBackendGetAttribute) GetAttribute = nullptr;
  decltype(&::cudnnBackendFinalize) Finalize = nullptr;
  decltype(&::cudnnBackendExecute) Execute = nullptr;
};
struct CublasLt {
  decltype(&::cublasLtGetVersion) GetVersion = nullptr;
  decltype(&::cublasLtGetStatusName) GetStatusName = nullptr;
  decltype(&::cublasLtGetStatusString) GetStatusString = nullptr;
  decltype(&::cublasLtCreate) Create = nullptr;
  decltype(&::cublasLtDestroy) Destroy = nullptr;
  decltype(&::cublasLtMatmulDescCreate) MatmulDescCreate = nullptr;
  decltype(&::cublasLtMatmulDescDestroy) MatmulDescDestroy = nullptr;
  decltype(&::cublasLtMatmulDescSetAttribute) MatmulDescSetAttribute = nullptr;
  decltype(&::cublasLtMatrixLayoutCreate) MatrixLayoutCreate = nullptr;
  decltype(&::cublasLtMatrixLayoutDestroy) MatrixLayoutDestroy = nullptr;
  decltype(&::cublasLtMatmulPreferenceCreate) MatmulPreferenceCreate = nullptr;
  decltype(&::cublasLtMatmulPreferenceDestroy) MatmulPreferenceDestroy = nullptr;
  decltype(&::cublasLtMatmulPreferenceSetAttribute) MatmulPreferenceSetAttribute = nullptr;
  decltype(&::cublasLtMatmulAlgoGetHeuristic) MatmulAlgoGetHeuristic = nullptr;
  decltype(&::cublasLtMatmul) Matmul = nullptr;
};

// Whether a library is there: its version, or why not and what to do about it.
struct Status {
  bool found = false;
  std::string detail;  // "9.19.0", or "libcudnn.so.9 not found; hint: install ..."
};
Status cudnn_status();
Status cublaslt_status();

// The tables. Throw DeviceError with the status' detail if the library is not there. Opened once, never
// closed.
const Cudnn& cudnn();
const CublasLt& cublaslt();

// Tests: these tables from now on, in place of the libraries. Not while another thread is inside a call.
void use_stand_ins(const Cudnn* cudnn, const CublasLt* cublaslt);

}  // namespace tern::cu::vendor
