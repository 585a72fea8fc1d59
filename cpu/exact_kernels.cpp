#include "tern/cpu/exact_kernels.h"

#include "tern/cpu/vec.h"
#include "tern/ops/weight_formulas.h"

namespace tern::cpu::TERN_ISA {
namespace {

using V = Vec<float>;
using W = Vec<double>;
constexpr int kColumns = 2 * V::kLanes, kVectors = kColumns / W::kLanes;

void add_panel(const float* const a[2], const float* panel, int64_t depth, double* const out[2]) {
  W sum[2][kVectors];
#pragma GCC unroll 2
  for (int r = 0; r < 2; ++r)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) sum[r][j] = W::load(out[r] + j * W::kLanes);
  for (int64_t k = 0; k < depth; ++k, panel += kColumns) {
    const Widened y[2] = {widen(V::load(panel)), widen(V::load(panel + V::kLanes))};
#pragma GCC unroll 2
    for (int r = 0; r < 2; ++r) {
      const W x(static_cast<double>(a[r][k]));
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) {
        const W z = x - y[j / 2].half[j % 2];
        sum[r][j] += z * z;
      }
    }
  }
#pragma GCC unroll 2
  for (int r = 0; r < 2; ++r)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) sum[r][j].store(out[r] + j * W::kLanes);
}

double log_weights(double* squared, int64_t n, int64_t d) {
  W largest(-__builtin_inf());
  int64_t j = 0;
  for (; j + W::kLanes <= n; j += W::kLanes) {
    const W w = log_weight(W::load(squared + j), d);
    w.store(squared + j);
    largest = max(w, largest);
  }
  if (j < n) log_weight(W::load_partial(squared + j, n - j), d).store_partial(squared + j, n - j);
  double most = -__builtin_inf();
  for (int i = 0; i < W::kLanes; ++i) most = largest[i] > most ? largest[i] : most;
  for (; j < n; ++j) most = squared[j] > most ? squared[j] : most;
  return most;
}

void relative_weights(double* log_w, int64_t n, double largest) {
  int64_t j = 0;
  for (; j + W::kLanes <= n; j += W::kLanes) relative_weight(W::load(log_w + j), largest).store(log_w + j);
  if (j < n) relative_weight(W::load_partial(log_w + j, n - j), largest).store_partial(log_w + j, n - j);
}

}  // namespace

constinit const ExactKernels exact_table = {
    .add_panel = add_panel, .log_weights = log_weights, .relative_weights = relative_weights};

}  // namespace tern::cpu::TERN_ISA
