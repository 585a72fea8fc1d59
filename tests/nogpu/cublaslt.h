#pragma once
// The stand-in for cuBLASLt; see libraries.h.

#include "tern/cuda/vendor.h"
#include "tern/tests/nogpu/libraries.h"

namespace nogpu {

const tern::cu::vendor::CublasLt& cublaslt_table();
LibraryCounts matmul_counts();

}  // namespace nogpu
