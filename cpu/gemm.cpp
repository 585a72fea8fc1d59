#include "tern/cpu/gemm.h"

#include <algorithm>

#include "tern/cpu/gemm_driver.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/reference/matmul.h"

namespace tern::cpu {

const GemmKernels& gemm_kernels() {
  return isa_pick(
      []() -> auto& { return baseline::gemm_table; }, []() -> auto& { return avx2::gemm_table; },
      []() -> auto& { return avx512::gemm_table; });
}

DepthBlocks::DepthBlocks(int64_t k) : k(k) {
  constexpr int64_t kRound = 16;
  count = std::max<int64_t>(1, (k + kMaxDepth - 1) / kMaxDepth);
  length = ((k + count - 1) / count + kRound - 1) / kRound * kRound;
  count = std::max<int64_t>(1, length == 0 ? 1 : (k + length - 1) / length);
}

PackedB::PackedB(int64_t k, int64_t n)
    : n(n),
      width(gemm_kernels().tile_columns),
      panels((n + width - 1) / width),
      blocks(k),
      data_(k * panels * width) {}

void PackedB::pack(const float* b, int64_t ldb, bool transposed) {
  const GemmKernels& kernels = gemm_kernels();
  fill([&](int64_t k, int64_t depth, int64_t column, int64_t columns, float* panel) {
    if (transposed) kernels.pack_panel_transposed(b + column * ldb + k, ldb, depth, columns, panel);
    else kernels.pack_panel(b + k * ldb + column, ldb, depth, columns, panel);
  });
}

void gemm(const GemmProblem& problem) {
  GemmProblem p = problem;
  // An empty matrix may come as a null pointer, to which no offset may be added.
  static const float nothing = 0;
  if (!p.a) p.a = &nothing;
  if (!p.b) p.b = &nothing;
  if (p.lda == 0) p.lda = p.transpose_a ? p.m : p.k;
  if (p.ldb == 0) p.ldb = p.transpose_b ? p.k : p.n;
  if (p.ldc == 0) p.ldc = p.n;
  if (p.m == 0 || p.n == 0) return;
  if (use_reference()) {
    return reference::matmul<float>({.m = p.m,
                                     .n = p.n,
                                     .k = p.k,
                                     .a = p.a,
                                     .a_row = p.transpose_a ? 1 : p.lda,
                                     .a_column = p.transpose_a ? p.lda : 1,
                                     .b = p.b,
                                     .b_row = p.transpose_b ? 1 : p.ldb,
                                     .b_column = p.transpose_b ? p.ldb : 1,
                                     .c = p.c,
                                     .ldc = p.ldc,
                                     .bias = p.bias,
                                     .accumulate = p.accumulate});
  }
  PackedB b(p.k, p.n);
  b.pack(p.b, p.ldb, p.transpose_b);
  gemm(p, b);
}

void gemm(const GemmProblem& p, const PackedB& b) {
  const int64_t lda = p.lda != 0 ? p.lda : p.transpose_a ? p.m : p.k, ldc = p.ldc != 0 ? p.ldc : p.n;
  const GemmKernels& kernels = gemm_kernels();
  const auto pointers = [&](int64_t row, int64_t rows, float** c) {
    for (int64_t r = 0; r < rows; ++r) c[r] = p.c + (row + r) * ldc;
  };
  const auto by_columns = [&](int64_t row, int64_t rows, int64_t k, int64_t depth, float* to) {
    kernels.pack_columns(p.a + k * lda + row, lda, rows, depth, to);
  };
  const auto by_rows = [&](int64_t row, int64_t rows, int64_t k, int64_t depth, float* to) {
    kernels.pack_rows(p.a + row * lda + k, lda, rows, depth, to);
  };
  if (p.transpose_a) run_tiles<true>(p.m, b, p.bias, p.accumulate, by_columns, pointers);
  else run_tiles<false>(p.m, b, p.bias, p.accumulate, by_rows, pointers);
}

}  // namespace tern::cpu
