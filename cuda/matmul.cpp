#include "tern/ops/matmul.h"

#include "tern/core/cuda_options.h"
#include "tern/core/error.h"
#include "tern/cuda/gemm.h"

namespace tern::cu {

void matmul(const MatmulGeometry& g, const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y) {
  check<DTypeError>(a.dtype() == DType::F32 || a.dtype() == DType::BF16, "matmul: operand is ", a.dtype(),
                    "; supported on cuda are f32 and bf16; hint: compute f64 on the CPU");
  y.storage().bump_version();
  gemm(a.device(),
       {.m = g.m,
        .n = g.n,
        .k = g.k,
        .transpose_a = g.transpose_a,
        .transpose_b = g.transpose_b,
        .factors = a.dtype(),
        .result = y.dtype(),
        .tf32 = a.dtype() == DType::F32 && cuda_options().tf32},
       a.raw_data(), b.raw_data(), bias.defined() ? static_cast<const float*>(bias.raw_data()) : nullptr,
       y.raw_data());
}

}  // namespace tern::cu
