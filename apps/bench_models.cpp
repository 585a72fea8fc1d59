// The train and infer suites of tern bench: whole steps of whole models on fixed photos of noise.

#include <fmt/format.h>

#include "tern/apps/bench.h"
#include "tern/core/autograd.h"
#include "tern/models/registry.h"
#include "tern/nn/optim.h"
#include "tern/ops/batch_triplet_loss.h"
#include "tern/ops/creation.h"

namespace tern::app {
namespace {

ModelSpec spec_of(const std::string& arch) {
  return {.arch = arch, .size = arch == "face_net" ? 64 : 112, .channels = 3, .embedding_dim = 128};
}

Tensor photos(const ModelSpec& spec, int64_t n) { return randn({n, spec.size, spec.size, spec.channels}); }

}  // namespace

void bench_train(const BenchSettings& settings, std::vector<BenchResult>& results) {
  constexpr int64_t kPhotosEach = 4;
  for (const auto& arch : settings.models) {
    const ModelSpec spec = spec_of(arch);
    const auto model = make_model(spec, 1);
    nn::Sgd optimizer(model->parameters(), {.lr = 0.01, .momentum = 0.9, .weight_decay = 5e-4});
    const Tensor x = photos(spec, settings.batch);
    std::vector<int64_t> people;
    for (int64_t i = 0; i < settings.batch; ++i) people.push_back(i / kPhotosEach);
    const Tensor labels = Tensor::from_data(std::span<const int64_t>(people), {settings.batch});
    results.push_back(measure(fmt::format("train {} {}x{} B={}", arch, spec.size, spec.size, settings.batch),
                              settings, {.images = static_cast<double>(settings.batch)}, [&] {
                                optimizer.zero_grad();
                                const auto loss = batch_triplet_loss(
                                    (*model)(x), labels, {.mining = Mining::BatchHard, .margin = 0.2});
                                loss.loss.backward();
                                optimizer.step();
                              }));
  }
}

void bench_infer(const BenchSettings& settings, std::vector<BenchResult>& results) {
  NoGradGuard no_grad;
  for (const auto& arch : settings.models) {
    const ModelSpec spec = spec_of(arch);
    const auto model = make_model(spec, 1);
    model->eval();
    for (const int64_t batch : {int64_t{1}, settings.batch}) {
      const Tensor x = photos(spec, batch);
      results.push_back(measure(fmt::format("infer {} {}x{} B={}", arch, spec.size, spec.size, batch),
                                settings, {.images = static_cast<double>(batch)}, [&] { (*model)(x); }));
    }
  }
}

}  // namespace tern::app
