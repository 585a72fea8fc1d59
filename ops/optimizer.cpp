#include "tern/ops/optimizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tern/core/allocator.h"

namespace tern {
namespace {

void write_run(const RuleRun& run, const Tensor& rules) {
  on_device(
      rules.device(), [&] { cpu::write_rules(run, rules); }, [&] { cu::write_rules(run, rules); });
}

template <class Rule>
RuleRun run_of(const Rule& rule, int64_t first, int64_t last) {
  static_assert(sizeof(Rule) <= sizeof(RuleRun::numbers));
  RuleRun run{{}, first, last};
  std::memcpy(run.numbers, &rule, sizeof rule);
  return run;
}

AdamRule adam_rule(const AdamUpdate& u, int64_t updates) {
  const auto t = static_cast<double>(updates);
  return {.step = u.lr / (1 - std::pow(u.beta1, t)),
          .new_weight1 = 1 - u.beta1,
          .beta2 = u.beta2,
          .new_weight2 = 1 - u.beta2,
          .root = 1 / std::sqrt(1 - std::pow(u.beta2, t)),
          .eps = u.eps,
          .decay = u.decoupled ? 0 : u.weight_decay,
          .shrink = u.decoupled ? 1 - u.lr * u.weight_decay : 1};
}

}  // namespace

void GradientTiles::append(const Tensor& gradient, int64_t arena_offset, int64_t parameter) {
  check<DTypeError>(gradient.dtype() == DType::F32, "optimizer: gradient must be f32, got ",
                    describe(gradient));
  const float* data = static_cast<const float*>(gradient.raw_data());
  for (int64_t i = 0; i < gradient.numel(); i += kOptimizerTile)
    tiles_.push_back({data + i, arena_offset + i, std::min(kOptimizerTile, gradient.numel() - i), parameter});
}

void GradientTiles::reserve(Device device, int64_t tiles) {
  const auto bytes = tiles * static_cast<int64_t>(sizeof(GradientTile));
  const bool fits = device_ == device && table_.defined() && table_.bytes() >= bytes;
  device_ = device;
  if (device.is_cpu() || fits) return;
  table_ = Tensor::empty({bytes}, {DType::U8, device});
  sent_.clear();
}

void GradientTiles::commit(Device device) {
  reserve(device, static_cast<int64_t>(tiles_.size()));
  if (device.is_cpu() || tiles_ == sent_) return;
  sent_.clear();
  copy_bytes(table_.raw_data(), device, tiles_.data(), kCpu,
             static_cast<int64_t>(tiles_.size() * sizeof(GradientTile)));
  sent_ = tiles_;
}

GradientNorm gradient_norm(const GradientTiles& tiles, double clip_norm) {
  const Device device = tiles.device();
  const auto n = static_cast<int64_t>(tiles.host().size());
  const GradientNorm norm{Tensor::empty({n}, {DType::F64, device}), Tensor::empty({2}, {DType::F64, device})};
  on_device(
      device, [&] { cpu::gradient_norm(tiles, clip_norm, norm); },
      [&] { cu::gradient_norm(tiles, clip_norm, norm); });
  return norm;
}

void write_rule(const SgdUpdate& u, const Tensor& rules) {
  write_run(run_of(SgdRule{u.lr, u.momentum, u.weight_decay, u.nesterov ? 1.0 : 0.0}, 0, rules.size(0)),
            rules);
}

void write_rule(const AdamUpdate& u, const Tensor& rules) {
  // Parameters with the same number of updates, nearly always all of them, have the same rule.
  for (int64_t first = 0, last = 0; first < rules.size(0); first = last) {
    const int64_t updates = u.steps[static_cast<size_t>(first)];
    while (last < rules.size(0) && u.steps[static_cast<size_t>(last)] == updates) ++last;
    write_run(run_of(adam_rule(u, updates), first, last), rules);
  }
}

void sgd_step(const OptimizerPass& pass, const Tensor& parameters, const Tensor& momentum) {
  on_device(
      parameters.device(), [&] { cpu::sgd_step(pass, parameters, momentum); },
      [&] { cu::sgd_step(pass, parameters, momentum); });
}

void adam_step(const OptimizerPass& pass, const Tensor& parameters, const Tensor& exp_avg,
               const Tensor& exp_avg_sq) {
  on_device(
      parameters.device(), [&] { cpu::adam_step(pass, parameters, exp_avg, exp_avg_sq); },
      [&] { cu::adam_step(pass, parameters, exp_avg, exp_avg_sq); });
}

}  // namespace tern
