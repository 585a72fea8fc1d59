#include "tern/cpu/peaks_kernels.h"

#include "tern/cpu/vec.h"

namespace tern::cpu::TERN_ISA {
namespace {

using V = Vec<float>;
// Two FMA units with a latency of four cycles need eight chains; twelve leave slack and fit 16 registers.
constexpr int kChains = 12;

float multiply_add_loop(int64_t rounds) {
  V acc[kChains];
  for (int i = 0; i < kChains; ++i) acc[i] = V(static_cast<float>(i));
  V scale(0.999f), shift(0.001f);
  for (int64_t r = 0; r < rounds; ++r) {
    asm volatile("" : "+x"(scale.v), "+x"(shift.v));  // keeps the loop from being folded
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) acc[i] = tern::cpu::TERN_ISA::multiply_add(acc[i], scale, shift);
  }
  V sum = acc[0];
  for (int i = 1; i < kChains; ++i) sum += acc[i];
  return sum_lanes(sum);
}

float read_loop(const float* x, int64_t n) {
  V acc[8];
  for (int k = 0; k < 8; ++k) acc[k] = V(0.0f);
  for (int64_t i = 0; i + 8 * V::kLanes <= n; i += 8 * V::kLanes)
    for (int k = 0; k < 8; ++k) acc[k] += V::load(x + i + k * V::kLanes);
  V sum = acc[0];
  for (int k = 1; k < 8; ++k) sum += acc[k];
  return sum_lanes(sum);
}

void copy_loop(const float* x, int64_t n, float* y) {
  for (int64_t i = 0; i + 4 * V::kLanes <= n; i += 4 * V::kLanes)
    for (int k = 0; k < 4; ++k) V::load(x + i + k * V::kLanes).store(y + i + k * V::kLanes);
}

void triad_loop(const float* x, const float* y, int64_t n, float* z) {
  const V three(3.0f);
  for (int64_t i = 0; i + 4 * V::kLanes <= n; i += 4 * V::kLanes)
    for (int k = 0; k < 4; ++k) {
      const int64_t at = i + k * V::kLanes;
      tern::cpu::TERN_ISA::multiply_add(V::load(y + at), three, V::load(x + at)).store(z + at);
    }
}

}  // namespace

const PeaksKernels peaks_table = {multiply_add_loop, 2 * kChains* V::kLanes, read_loop, copy_loop,
                                  triad_loop};

}  // namespace tern::cpu::TERN_ISA
