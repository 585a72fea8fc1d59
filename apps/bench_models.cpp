// The suites train, infer and triplet of tern bench: whole steps of whole models on fixed photos of noise,
// and the three-photo decision on drawn people.

#include <fmt/format.h>

#include "tern/apps/bench.h"
#include "tern/core/autograd.h"
#include "tern/data/synthetic.h"
#include "tern/models/embedder.h"
#include "tern/models/registry.h"
#include "tern/nn/optim.h"
#include "tern/ops/batch_triplet_loss.h"
#include "tern/ops/creation.h"

namespace tern::app {
namespace {

ModelSpec spec_of(const Bench& bench, const std::string& arch) {
  ModelSpec spec = native_spec(arch);
  spec.size = bench.sized(spec.size, std::min<int64_t>(spec.size, 32));
  return spec;
}

std::shared_ptr<nn::Module> model_of(const Bench& bench, const ModelSpec& spec) {
  std::shared_ptr<nn::Module> model = make_model(spec, 1);
  model->to(bench.settings.device);
  return model;
}

Tensor photos(const Bench& bench, const ModelSpec& spec, int64_t n) {
  return bench.activations({n, spec.size, spec.size, spec.channels});
}

Tensor labels_of(const Bench& bench) {
  const int64_t batch = bench.settings.batch;
  constexpr int64_t kPhotosEach = 4;
  std::vector<int64_t> people;
  for (int64_t i = 0; i < batch; ++i) people.push_back(i / kPhotosEach);
  return bench.here(Tensor::from_data(std::span<const int64_t>(people), {batch}));
}

}  // namespace

// Forward, batch-hard triplet loss, backward, SGD with momentum and weight decay.
void bench_train(Bench& bench) {
  const int64_t batch = bench.settings.batch;
  for (const auto& arch : bench.settings.models)
    bench.row(fmt::format("train {} {} B={}", arch, bench.precision(), batch),
              {.images = static_cast<double>(batch), .memory = true}, [&]() -> Bench::Call {
                const ModelSpec spec = spec_of(bench, arch);
                const std::shared_ptr<nn::Module> model = model_of(bench, spec);
                auto optimizer = std::make_shared<nn::Sgd>(
                    model->parameters(), nn::SgdOptions{.lr = 0.01, .momentum = 0.9, .weight_decay = 5e-4});
                const Tensor x = photos(bench, spec, batch), labels = labels_of(bench);
                return [model, optimizer, x, labels] {
                  optimizer->zero_grad();
                  batch_triplet_loss((*model)(x), labels, {.mining = Mining::BatchHard, .margin = 0.2})
                      .loss.backward();
                  optimizer->step();
                };
              });
}

void bench_infer(Bench& bench) {
  for (const auto& arch : bench.settings.models)
    for (const int64_t batch : {int64_t{1}, bench.settings.batch}) {
      const std::string name = fmt::format("infer {} {} B={}", arch, bench.precision(), batch);
      if (!bench.wants(name)) continue;
      const ModelSpec spec = spec_of(bench, arch);
      const std::shared_ptr<nn::Module> model = model_of(bench, spec);
      model->eval();
      const int64_t multiply_adds = model->num_multiply_adds({batch, spec.size, spec.size, spec.channels});
      bench.row(name,
                {.flops = 2.0 * static_cast<double>(multiply_adds), .images = static_cast<double>(batch)},
                [&]() -> Bench::Call {
                  return [model, x = photos(bench, spec, batch)] {
                    const NoGradGuard no_grad;
                    (*model)(x);
                  };
                });
    }
}

namespace {

// Bytes of 250x250 JPEGs of drawn people: two of one, one of the next.
std::array<std::vector<uint8_t>, 3> draw_trio(int64_t person) {
  const SyntheticOptions people{.size = 250};
  return {write_jpeg(draw_face(people, person, 0)), write_jpeg(draw_face(people, person, 1)),
          write_jpeg(draw_face(people, person + 1, 0))};
}

}  // namespace

// Bytes of three photos to verdict, on one core: a scanner's processor has others things to do.
void bench_triplet(Bench& bench) {
  const OneThread one_thread;
  for (const auto& arch : bench.settings.models)
    bench.row(fmt::format("triplet {}, one thread", arch), {}, [&]() -> Bench::Call {
      const ModelSpec spec = native_spec(arch);
      const ModelCard card{.spec = spec,
                           .preprocess = {.size = spec.size, .channels = spec.channels},
                           .rule = DecisionRule{.threshold = 1},
                           .training_margin = 0.2,
                           .weights_hash = {}};
      auto model = make_model(spec, 1);
      model->eval();
      const Embedder face(LoadedModel{std::move(model), card});
      std::vector<std::array<std::vector<uint8_t>, 3>> trios;
      for (int64_t i = 0; i < 8; ++i) trios.push_back(draw_trio(2 * i));
      return [face, trios, next = size_t{0}]() mutable {
        const auto& [anchor, positive, negative] = trios[next++ % trios.size()];
        face.check_triplet(anchor, positive, negative);
      };
    });
}

}  // namespace tern::app
