#include "tern/ops/optimizer.h"

#include <cmath>
#include <cstring>
#include <numeric>

#include "tern/core/parallel.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/optimizer_kernels.h"
#include "tern/cpu/reference/optimizer.h"

namespace tern::cpu {
namespace {

const OptimizerKernels& optimizer_kernels() {
  return isa_pick(
      []() -> auto& { return baseline::optimizer_table; }, []() -> auto& { return avx2::optimizer_table; },
      []() -> auto& { return avx512::optimizer_table; });
}

// body(tile index, tile) over the tiles [begin, end), in parallel.
template <class Body>
void for_tiles(const GradientTiles& tiles, int64_t begin, int64_t end, const Body& body) {
  parallel_for(end - begin, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = begin + first; i < begin + last; ++i) body(i, tiles.host()[static_cast<size_t>(i)]);
  });
}

// The rule of a tile's parameter.
template <class Rule>
Rule rule_of(const OptimizerPass& pass, const GradientTile& t) {
  Rule rule;
  std::memcpy(&rule, pass.rules.data<double>() + t.parameter * kRuleNumbers, sizeof rule);
  return rule;
}

}  // namespace

void gradient_norm(const GradientTiles& tiles, double clip_norm, const GradientNorm& norm) {
  double* sums = norm.sums.mutable_data<double>();
  const int64_t n = norm.sums.numel();
  for_tiles(tiles, 0, n, [&](int64_t i, const GradientTile& t) {
    sums[i] = use_reference() ? reference::squared_norm(t.count, t.gradient)
                              : optimizer_kernels().squared_norm(t.count, t.gradient);
  });
  double* total = norm.total.mutable_data<double>();
  total[0] = std::sqrt(std::accumulate(sums, sums + n, 0.0));
  total[1] = clip_scale(total[0], clip_norm);
}

void write_rules(const RuleRun& run, const Tensor& rules) {
  double* row = rules.mutable_data<double>() + run.first * kRuleNumbers;
  for (int64_t i = run.first; i < run.last; ++i, row += kRuleNumbers)
    std::memcpy(row, run.numbers, sizeof run.numbers);
}

void sgd_step(const OptimizerPass& pass, const Tensor& parameters, const Tensor& momentum) {
  const double norm = pass.norm.data<double>()[0], scale = pass.norm.data<double>()[1];
  if (!std::isfinite(norm)) return;
  float* p = parameters.mutable_data<float>();
  float* m = momentum.defined() ? momentum.mutable_data<float>() : nullptr;
  for_tiles(pass.tiles, pass.begin, pass.end, [&](int64_t, const GradientTile& t) {
    float* state = m ? m + t.offset : nullptr;
    const SgdRule rule = rule_of<SgdRule>(pass, t);
    if (use_reference())
      return reference::sgd(rule.formula<double>(scale), t.count, t.gradient, p + t.offset, state);
    const auto f = rule.formula<float>(scale);
    optimizer_kernels().sgd({f.lr, f.momentum, f.decay, f.scale, f.nesterov}, t.count, t.gradient,
                            p + t.offset, state);
  });
}

void adam_step(const OptimizerPass& pass, const Tensor& parameters, const Tensor& exp_avg,
               const Tensor& exp_avg_sq) {
  const double norm = pass.norm.data<double>()[0], scale = pass.norm.data<double>()[1];
  if (!std::isfinite(norm)) return;
  float* p = parameters.mutable_data<float>();
  float *m = exp_avg.mutable_data<float>(), *v = exp_avg_sq.mutable_data<float>();
  for_tiles(pass.tiles, pass.begin, pass.end, [&](int64_t, const GradientTile& t) {
    const AdamRule rule = rule_of<AdamRule>(pass, t);
    if (use_reference())
      return reference::adam(rule.formula<double>(scale), t.count, t.gradient, p + t.offset, m + t.offset,
                             v + t.offset);
    const auto f = rule.formula<float>(scale);
    const AdamConstants c{f.step, f.new_weight1, f.beta2,  f.new_weight2, f.root,
                          f.eps,  f.decay,       f.shrink, f.scale};
    optimizer_kernels().adam(c, t.count, t.gradient, p + t.offset, m + t.offset, v + t.offset);
  });
}

}  // namespace tern::cpu
