#include "tern/cpu/steps_kernels.h"

#include "tern/cpu/vec.h"

namespace tern::cpu::TERN_ISA {
namespace {

using V = Vec<float>;

void dot_products(const float* a, const float* b, int64_t n, float* c) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      float sum = 0;
      for (int64_t k = 0; k < n; ++k) sum += a[i * n + k] * b[k * n + j];
      c[i * n + j] = sum;
    }
}

void row_sums(const float* a, const float* b, int64_t n, float* c) {
  for (int64_t i = 0; i < n; ++i) {
    float* row = c + i * n;
    for (int64_t j = 0; j < n; j += V::kLanes) V(0.0f).store(row + j);
    for (int64_t k = 0; k < n; ++k) {
      const V factor(a[i * n + k]);
      const float* from = b + k * n;
      for (int64_t j = 0; j < n; j += V::kLanes)
        tern::cpu::TERN_ISA::multiply_add(factor, V::load(from + j), V::load(row + j)).store(row + j);
    }
  }
}

// Rows and vectors of a tile: 2 kRows sums, 2 vectors of B and a factor fit the 16 (AVX-512: 32) registers.
constexpr int kRows = kVectorBytes == 64 ? 8 : 4;

void register_tiles(const float* a, const float* b, int64_t n, float* c) {
  for (int64_t j = 0; j < n; j += 2 * V::kLanes)
    for (int64_t i = 0; i < n; i += kRows) {
      V sum[kRows][2];
      for (int r = 0; r < kRows; ++r) sum[r][0] = sum[r][1] = V(0.0f);
      for (int64_t k = 0; k < n; ++k) {
        const V b0 = V::load(b + k * n + j), b1 = V::load(b + k * n + j + V::kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          const V factor(a[(i + r) * n + k]);
          sum[r][0] = tern::cpu::TERN_ISA::multiply_add(factor, b0, sum[r][0]);
          sum[r][1] = tern::cpu::TERN_ISA::multiply_add(factor, b1, sum[r][1]);
        }
      }
      for (int r = 0; r < kRows; ++r) {
        sum[r][0].store(c + (i + r) * n + j);
        sum[r][1].store(c + (i + r) * n + j + V::kLanes);
      }
    }
}

}  // namespace

const StepsKernels steps_table = {dot_products, row_sums, register_tiles};

}  // namespace tern::cpu::TERN_ISA
