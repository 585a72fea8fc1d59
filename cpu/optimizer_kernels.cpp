#include "tern/cpu/optimizer_kernels.h"

#include "tern/cpu/vec.h"
#include "tern/ops/optimizer_formulas.h"

namespace tern::cpu::TERN_ISA {
namespace {

using V = Vec<float>;
using D = Vec<double>;

// Squares and sums are f64: no gradient that is finite overflows, and the sum is the same to 1e-14 in any
// order.
double squared_norm(int64_t n, const float* g) {
  constexpr int kRun = 2;
  D sum[kRun][2];
  for (int k = 0; k < kRun; ++k) sum[k][0] = sum[k][1] = D(0.0);
  int64_t i = 0;
  for (; i + kRun * V::kLanes <= n; i += kRun * V::kLanes)
    for (int k = 0; k < kRun; ++k) {
      const Widened x = widen(V::load(g + i + k * V::kLanes));
      for (int h = 0; h < 2; ++h) sum[k][h] = multiply_add(x.half[h], x.half[h], sum[k][h]);
    }
  double rest = 0;
  for (; i < n; ++i) rest += static_cast<double>(g[i]) * static_cast<double>(g[i]);
  return sum_lanes((sum[0][0] + sum[0][1]) + (sum[1][0] + sum[1][1])) + rest;
}

void sgd(const SgdConstants& c, int64_t n, const float* g, float* p, float* m) {
  const SgdFormula<V> rule{V(c.lr), V(c.momentum), V(c.decay), V(c.scale), c.nesterov};
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    V parameter = V::load(p + i);
    if (m) {
      V momentum = V::load(m + i);
      rule.with_momentum(parameter, V::load(g + i), momentum);
      momentum.store(m + i);
    } else {
      rule.plain(parameter, V::load(g + i));
    }
    parameter.store(p + i);
  }
  if (i == n) return;
  V parameter = V::load_partial(p + i, n - i);
  if (m) {
    V momentum = V::load_partial(m + i, n - i);
    rule.with_momentum(parameter, V::load_partial(g + i, n - i), momentum);
    momentum.store_partial(m + i, n - i);
  } else {
    rule.plain(parameter, V::load_partial(g + i, n - i));
  }
  parameter.store_partial(p + i, n - i);
}

void adam(const AdamConstants& c, int64_t n, const float* g, float* p, float* m, float* v) {
  const AdamFormula<V> rule{V(c.step), V(c.new_weight1), V(c.beta2),  V(c.new_weight2), V(c.root),
                            V(c.eps),  V(c.decay),       V(c.shrink), V(c.scale)};
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    V parameter = V::load(p + i), first = V::load(m + i), second = V::load(v + i);
    rule(parameter, V::load(g + i), first, second);
    parameter.store(p + i);
    first.store(m + i);
    second.store(v + i);
  }
  if (i == n) return;
  V parameter = V::load_partial(p + i, n - i);
  V first = V::load_partial(m + i, n - i), second = V::load_partial(v + i, n - i);
  rule(parameter, V::load_partial(g + i, n - i), first, second);
  parameter.store_partial(p + i, n - i);
  first.store_partial(m + i, n - i);
  second.store_partial(v + i, n - i);
}

}  // namespace

const OptimizerKernels optimizer_table = {squared_norm, sgd, adam};

}  // namespace tern::cpu::TERN_ISA
