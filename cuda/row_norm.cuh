#pragma once
// |a - b + eps|_p of two rows by one warp, in f64: every lane gets the distance.

#include "tern/cuda/block.cuh"
#include "tern/cuda/exact_distance.cuh"
#include "tern/ops/norm_formulas.h"

namespace tern::cu {

struct RowDifference {
  const float *a, *b;
  double eps;
  __device__ __forceinline__ double operator()(int64_t k) const {
    return static_cast<double>(a[k]) - static_cast<double>(b[k]) + eps;
  }
};

__device__ __forceinline__ double row_distance(const RowDifference& z, int64_t d, double p) {
  const int lane = lane_of_thread();
  double sum = 0;
  if (p == 1 || p == 2) {
    for (int64_t k = lane; k < d; k += kWarp) sum += p == 2 ? z(k) * z(k) : math::abs(z(k));
    sum = warp_sum(sum);
    return p == 2 ? math::sqrt(sum) : sum;
  }
  double largest = 0;
  for (int64_t k = lane; k < d; k += kWarp) largest = MaximumOf{}(largest, math::abs(z(k)));
  largest = warp_maximum(largest);
  if (p == __builtin_inf() || !(largest > 0) || largest == __builtin_inf()) return largest;
  for (int64_t k = lane; k < d; k += kWarp) sum += math::pow(math::abs(z(k)) / largest, p);
  return largest * math::pow(warp_sum(sum), 1 / p);
}

// What norm_slope wants to know for p = infinity.
__device__ __forceinline__ double deciding_coordinates(const RowDifference& z, int64_t d, double p,
                                                       double distance) {
  if (p != __builtin_inf()) return 1;
  int count = 0;
  for (int64_t k = lane_of_thread(); k < d; k += kWarp) count += math::abs(z(k)) == distance;
  return static_cast<double>(warp_sum(count));
}

}  // namespace tern::cu
