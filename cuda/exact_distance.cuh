#pragma once
// Distances of two rows of f32 on a device. exact_squared() has the bits of cpu/reference/squared_distance.h:
// sum_k (a_k - b_k)^2 in f64, k ascending, nothing fused.

#include <cstdint>

#include "tern/cuda/kernel.h"
#include "tern/ops/mining_formulas.h"

namespace tern::cu {

// Distances and what is made of them.
inline void check_f32(const char* op, const Tensor& x) {
  check<DTypeError>(x.dtype() == DType::F32, op, ": dtype ", x.dtype(),
                    " is not supported on cuda, allowed is f32; hint: compute f64 on the CPU");
}

inline constexpr float kLargestFloat = 3.40282347e38f;

__device__ __forceinline__ double exact_squared(const float* a, const float* b, int64_t d) {
  double sum = 0;
#pragma unroll 4
  for (int64_t k = 0; k < d; ++k) {
    const double z = static_cast<double>(a[k]) - static_cast<double>(b[k]);
    sum += rounded_product(z, z);
  }
  return sum > 1.7976931348623157e308 ? 1.7976931348623157e308 : sum;
}

// The distance of rows a and b from their product and squared norms; directly where cancellation would spoil
// it.
__device__ __forceinline__ float gram_distance(float product, float norm_a, float norm_b, const float* a,
                                               const float* b, int64_t d, Distance distance) {
  const float norms = norm_a + norm_b, squared = norms - 2 * product;
  if (squared > kNearFraction * norms && squared <= kLargestFloat) return distance_of(squared, distance);
  const double direct = distance_of(exact_squared(a, b, d), distance);
  return direct > static_cast<double>(kLargestFloat) ? kLargestFloat : static_cast<float>(direct);
}

// norms[i] = |x_i|^2 of x[n,d], summed in f64. Not finite where x_i is not.
void squared_norms_of_rows(cudaStream_t stream, const float* x, int64_t n, int64_t d, double* norms);

// For kernels that give a row to each warp.
inline dim3 blocks_for_rows(int64_t n) {
  return dim3(static_cast<unsigned>((n * kWarp + kBlock - 1) / kBlock));
}
__device__ __forceinline__ int64_t row_of_warp() {
  return (static_cast<int64_t>(blockIdx.x) * kBlock + threadIdx.x) / kWarp;
}
__device__ __forceinline__ int lane_of_thread() { return static_cast<int>(threadIdx.x) % kWarp; }

}  // namespace tern::cu
