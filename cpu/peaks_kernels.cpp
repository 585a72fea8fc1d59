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

}  // namespace

const PeaksKernels peaks_table = {multiply_add_loop, 2 * kChains* V::kLanes, read_loop};

}  // namespace tern::cpu::TERN_ISA
