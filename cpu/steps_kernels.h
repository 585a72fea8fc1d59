#pragma once
// The product C = A B of square matrices [n,n] on the way to cpu/gemm: each step adds one idea to the one
// before. docs/kernels.md tells the story, `tern bench steps` measures it; nothing else calls these. n is a
// multiple of 64.

#include <cstdint>

namespace tern::cpu {

struct StepsKernels {
  // c[i,j] = sum over k of a[i,k] b[k,j], as it is written down: B is read down its columns.
  void (*dot_products)(const float* a, const float* b, int64_t n, float* c);
  // Rows of C collect multiples of rows of B: everything is read along the rows, in vectors.
  void (*row_sums)(const float* a, const float* b, int64_t n, float* c);
  // A tile of C stays in registers while k runs: each load of B serves several rows, C is written once.
  void (*register_tiles)(const float* a, const float* b, int64_t n, float* c);
};

namespace baseline {
extern const StepsKernels steps_table;
}
namespace avx2 {
extern const StepsKernels steps_table;
}
namespace avx512 {
extern const StepsKernels steps_table;
}

}  // namespace tern::cpu
