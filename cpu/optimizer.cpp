#include "tern/ops/optimizer.h"

#include <cmath>

#include "tern/core/parallel.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/optimizer_kernels.h"
#include "tern/cpu/reference/optimizer.h"

namespace tern::cpu {
namespace {

const OptimizerKernels& kernels() {
  return isa_pick(
      []() -> auto& { return baseline::optimizer_table; }, []() -> auto& { return avx2::optimizer_table; },
      []() -> auto& { return avx512::optimizer_table; });
}

template <class Body>
void for_tiles(std::span<const GradientTile> tiles, const Body& body) {
  const auto n = static_cast<int64_t>(tiles.size());
  parallel_for(n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(i, tiles[static_cast<size_t>(i)]);
  });
}

AdamFormula<double> adam_constants(const AdamUpdate& u, int64_t parameter) {
  const auto t = static_cast<double>(u.steps[static_cast<size_t>(parameter)]);
  return {.step = u.lr / (1 - std::pow(u.beta1, t)),
          .new_weight1 = 1 - u.beta1,
          .beta2 = u.beta2,
          .new_weight2 = 1 - u.beta2,
          .root = 1 / std::sqrt(1 - std::pow(u.beta2, t)),
          .eps = u.eps,
          .decay = u.decoupled ? 0 : u.weight_decay,
          .shrink = u.decoupled ? 1 - u.lr * u.weight_decay : 1,
          .scale = u.gradient_scale};
}

float narrow(double x) { return static_cast<float>(x); }

}  // namespace

void squared_norms(std::span<const GradientTile> tiles, std::span<double> sums) {
  for_tiles(tiles, [&](int64_t i, const GradientTile& t) {
    sums[static_cast<size_t>(i)] = use_reference() ? reference::squared_norm(t.count, t.gradient)
                                                   : kernels().squared_norm(t.count, t.gradient);
  });
}

void sgd_step(std::span<const GradientTile> tiles, const SgdUpdate& u, const Tensor& parameters,
              const Tensor& momentum) {
  float* p = parameters.mutable_data<float>();
  float* m = momentum.defined() ? momentum.mutable_data<float>() : nullptr;
  const SgdFormula<double> rule{u.lr, u.momentum, u.weight_decay, u.gradient_scale, u.nesterov};
  const SgdConstants constants{narrow(u.lr), narrow(u.momentum), narrow(u.weight_decay),
                               narrow(u.gradient_scale), u.nesterov};
  for_tiles(tiles, [&](int64_t, const GradientTile& t) {
    float* state = m ? m + t.offset : nullptr;
    if (use_reference()) return reference::sgd(rule, t.count, t.gradient, p + t.offset, state);
    kernels().sgd(constants, t.count, t.gradient, p + t.offset, state);
  });
}

void adam_step(std::span<const GradientTile> tiles, const AdamUpdate& u, const Tensor& parameters,
               const Tensor& exp_avg, const Tensor& exp_avg_sq) {
  float* p = parameters.mutable_data<float>();
  float *m = exp_avg.mutable_data<float>(), *v = exp_avg_sq.mutable_data<float>();
  for_tiles(tiles, [&](int64_t, const GradientTile& t) {
    const AdamFormula<double> r = adam_constants(u, t.parameter);
    if (use_reference())
      return reference::adam(r, t.count, t.gradient, p + t.offset, m + t.offset, v + t.offset);
    const AdamConstants c{narrow(r.step),        narrow(r.new_weight1), narrow(r.beta2),
                          narrow(r.new_weight2), narrow(r.root),        narrow(r.eps),
                          narrow(r.decay),       narrow(r.shrink),      narrow(r.scale)};
    kernels().adam(c, t.count, t.gradient, p + t.offset, m + t.offset, v + t.offset);
  });
}

}  // namespace tern::cpu
