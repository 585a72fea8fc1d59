#pragma once
// Kernels in f64 whose bits are those of the naive loops on every instruction set: their files are compiled
// without contraction (cmake/TernKernels.cmake), so that every product is rounded before it is added, and
// vectors run over what is independent.

#include <cstdint>

namespace tern::cpu {

struct ExactKernels {
  // The squared distances that decide (cpu/reference/squared_distance.h): adds depth terms (a_k - b_kj)^2, k
  // ascending, to the sums of two rows a, out[kNr] each. panel: [depth][kNr] of B, as gemm packs it
  // (cpu/gemm_kernels.h).
  void (*add_panel)(const float* const a[2], const float* panel, int64_t depth, double* const out[2]);
  // Squared distances become log_weight (ops/weight_formulas.h); returns the largest, or -infinity.
  double (*log_weights)(double* squared, int64_t n, int64_t d);
  // Those become relative_weight.
  void (*relative_weights)(double* log_w, int64_t n, double largest);
};

const ExactKernels& exact_kernels();  // of the active instruction set

namespace baseline {
extern const ExactKernels exact_table;
}
namespace avx2 {
extern const ExactKernels exact_table;
}
namespace avx512 {
extern const ExactKernels exact_table;
}

}  // namespace tern::cpu
