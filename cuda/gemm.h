#pragma once
// Products of dense, row-major matrices on a device, through cuBLASLt:
//
//   c[m,n] = alpha op(a) op(b) + bias     op(a)[m,k] is a[m,k], or a[k,m] transposed; op(b)[k,n] likewise;
//                                         bias[n] is added to every row and may be null
//
// cuBLASLt counts columns first, and row-major memory read so is the transpose: it is asked for
// c^T = op(b)^T op(a)^T, which takes the same bytes and copies nothing.
//
// Sums are f32. f32 factors are never rounded unless tf32 is set; it belongs to layers, not to Gram matrices
// and distances. The algorithm is the heuristics' first for (sizes, types, alignment), asked once and kept;
// algorithms that add pieces in the result's place are excluded, so equal calls give equal bits.

#include <cublasLt.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "tern/core/device.h"
#include "tern/core/dtype.h"

namespace tern::cu {

struct Gemm {
  int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  DType factors = DType::F32;  // type of a and b: f32 or bf16
  DType result = DType::F32;   // type of c: f32 or bf16
  bool tf32 = false;
  float alpha = 1;
};

// On the compute stream of the device. k = 0 gives the bias, or zeros.
void gemm(Device device, const Gemm& g, const void* a, const void* b, const float* bias, void* c);

// What cuBLASLt made of each problem so far; one per device, owned by its runtime.
class GemmPlans {
 public:
  GemmPlans();
  ~GemmPlans();
  GemmPlans(const GemmPlans&) = delete;
  GemmPlans& operator=(const GemmPlans&) = delete;

  struct Plan;
  using Key = std::array<int64_t, 10>;
  // Calls use(plan) under the lock: the plan holds the bias' address during a call.
  template <class Make, class Use>
  void with(const Key& key, const Make& make, const Use& use) {
    std::lock_guard lock(mutex_);
    std::unique_ptr<Plan>& plan = plans_[key];
    if (!plan) plan = make();
    use(*plan);
  }
  size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::map<Key, std::unique_ptr<Plan>> plans_;
};

}  // namespace tern::cu
