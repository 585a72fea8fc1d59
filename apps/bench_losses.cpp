// The suites loss, optimizer and overhead of tern bench.

#include <fmt/format.h>

#include <array>

#include "tern/apps/bench.h"
#include "tern/core/autograd.h"
#include "tern/core/parallel.h"
#include "tern/nn/optim.h"
#include "tern/ops/batch_triplet_loss.h"
#include "tern/ops/creation.h"
#include "tern/ops/pointwise.h"

namespace tern::app {
namespace {

constexpr int64_t kEmbedding = 128;

struct LossCase {
  Mining mining;
  int64_t photos, each;
};
constexpr LossCase kLosses[] = {
    {Mining::BatchAll, 1800, 40},         {Mining::BatchHard, 1800, 40},
    {Mining::SemiHard, 1800, 40},         {Mining::SemiHardOrHardest, 1800, 40},
    {Mining::RandomViolator, 1800, 40},   {Mining::EasyPositive, 1800, 40},
    {Mining::DistanceWeighted, 1800, 40}, {Mining::BatchAll, 256, 4},
    {Mining::BatchAll, 1024, 4},          {Mining::BatchHard, 256, 4},
    {Mining::BatchHard, 1024, 4},         {Mining::SemiHard, 256, 4},
    {Mining::SemiHard, 1024, 4},          {Mining::BatchAll, 4096, 4},
};

Bench::Call loss_and_gradient(const Bench& bench, const LossCase& c) {
  std::vector<int64_t> people;
  for (int64_t i = 0; i < c.photos; ++i) people.push_back(i / c.each);
  const Tensor labels = bench.here(Tensor::from_data(std::span<const int64_t>(people), {c.photos}));
  Tensor e = bench.here(randn({c.photos, kEmbedding}));
  e.set_requires_grad();
  return [e, labels, mining = c.mining]() mutable {
    e.clear_grad();
    batch_triplet_loss(e, labels, {.mining = mining, .margin = 0.2}).loss.backward();
  };
}

}  // namespace

void bench_loss(Bench& bench) {
  for (const LossCase& listed : kLosses) {
    const LossCase c{listed.mining, bench.sized(listed.photos, 6), bench.sized(listed.each, 2)};
    bench.row(fmt::format("{} B={} K={}", to_string(c.mining), c.photos, c.each), {.memory = true},
              [&] { return loss_and_gradient(bench, c); });
  }
}

namespace {

// As many parameters as ResNet-18 has, in tensors of like sizes.
std::vector<Tensor> resnet_sized_parameters(const Bench& bench) {
  std::vector<Tensor> parameters;
  const auto add = [&](int64_t listed) {
    const int64_t numel = bench.sized(listed);
    Tensor p = bench.here(randn({numel}, {.step = parameters.size()}));
    p.set_requires_grad();
    p.set_grad(bench.here(randn({numel}, {.step = 1000 + parameters.size()})));
    parameters.push_back(p);
  };
  for (const int64_t numel : {2359296, 1179648, 589824, 294912, 147456, 36864})
    for (int i = 0; i < 3 - (numel == 1179648); ++i) add(numel);
  for (int i = 0; i < 40; ++i) add(512);
  return parameters;
}

template <class MakeOptimizer>
void bench_update(Bench& bench, const std::string& name, double bytes_each, MakeOptimizer make) {
  const std::vector<Tensor> parameters = resnet_sized_parameters(bench);
  double numel = 0;
  for (const Tensor& p : parameters) numel += static_cast<double>(p.numel());
  bench.row(fmt::format("{}, {:.1f} M", name, numel / 1e6), {.bytes = bytes_each * numel},
            [&]() -> Bench::Call {
              auto optimizer = std::shared_ptr<nn::Optimizer>(make(parameters));
              return [optimizer] { optimizer->step(); };
            });
}

}  // namespace

// Bytes that must move for each parameter: SGD reads p, g, m and writes p, m; Adam has one more state.
void bench_optimizer(Bench& bench) {
  bench_update(bench, "sgd momentum decay", 20, [](const auto& p) {
    return new nn::Sgd(p, {.lr = 1e-4, .momentum = 0.9, .weight_decay = 5e-4});
  });
  bench_update(bench, "sgd momentum decay clip", 20, [](const auto& p) {
    return new nn::Sgd(p, {.lr = 1e-4, .momentum = 0.9, .weight_decay = 5e-4, .clip_norm = 1});
  });
  bench_update(bench, "adamw", 28, [](const auto& p) { return new nn::AdamW(p, {.lr = 1e-5}); });
}

namespace {

constexpr int kChain = 1000;

// A thousand additions, multiplications and ReLUs of 64 elements, each on the result of the last.
Tensor chain(Tensor x, const Tensor& y) {
  for (int i = 0; i < kChain; ++i) x = i % 3 == 0 ? add(x, y) : i % 3 == 1 ? mul(x, y) : relu(x);
  return x;
}

}  // namespace

void bench_overhead(Bench& bench) {
  const Tensor y = full({64}, 0.999);
  Tensor x = ones({64});
  bench.row("64 elements, no gradient", {.ops = kChain, .memory = true}, [&]() -> Bench::Call {
    return [&] {
      const NoGradGuard no_grad;
      chain(x, y);
    };
  });
  bench.row("64 elements, recorded", {.ops = kChain, .memory = true}, [&]() -> Bench::Call {
    Tensor leaf = x.clone();
    leaf.set_requires_grad();
    return [&, leaf] { chain(leaf, y); };
  });
  bench.row("64 elements, recorded and backward", {.ops = kChain, .memory = true}, [&]() -> Bench::Call {
    Tensor leaf = x.clone();
    leaf.set_requires_grad();
    const Tensor dy = ones({64});
    return [&, leaf, dy]() mutable {
      leaf.clear_grad();
      chain(leaf, y).backward(dy);
    };
  });
  bench.row("parallel_for with nothing to do", {.ops = kChain}, [&]() -> Bench::Call {
    const int64_t threads = num_threads();
    return [threads] {
      for (int i = 0; i < kChain; ++i) parallel_for(threads, 1, [](int64_t, int64_t) {});
    };
  });
}

}  // namespace tern::app
