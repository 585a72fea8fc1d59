// tern info [FILE]: this build and machine, a network, or any file of tern's described.

#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "tern/apps/commands.h"
#include "tern/core/allocator.h"
#include "tern/core/cuda_support.h"
#include "tern/core/error.h"
#include "tern/core/parallel.h"
#include "tern/cpu/isa.h"
#include "tern/models/model_file.h"
#include "tern/models/registry.h"
#include "tern/nn/safetensors.h"

namespace tern::app {
namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;

Rows machine_rows() {
  std::string arches;
  for (const auto& name : known_models()) arches += (arches.empty() ? "" : " ") + name;
  Rows rows{{"version", TERN_VERSION},
            {"compiler", __VERSION__},
            {"instruction set", std::string(cpu::to_string(cpu::active_isa()))},
            {"best instruction set", std::string(cpu::to_string(cpu::best_isa()))},
            {"threads", std::to_string(num_threads())},
            {"memory available", fmt::format("{} MiB", available_memory() >> 20)},
            {"architectures", arches}};
  const CudaSupport cuda = cuda_support();
  rows.emplace_back("cuda", cuda.built ? "built in" : "not built in; hint: build with -DTERN_CUDA=ON");
  for (const auto& part : cuda.parts)
    rows.emplace_back("cuda " + part.name, part.found ? part.detail : "missing: " + part.detail);
  for (const auto& device : cuda.devices) rows.emplace_back("cuda device", device);
  return rows;
}

Rows spec_rows(const ModelSpec& spec) {
  const auto model = make_model(spec, 0);
  const int64_t work = model->num_multiply_adds({1, spec.size, spec.size, spec.channels});
  return {{"architecture", spec.arch},
          {"input", fmt::format("{0}x{0}, {1}", spec.size, spec.channels == 1 ? "grey" : "colour")},
          {"embedding", std::to_string(spec.embedding_dim)},
          {"parameters", std::to_string(model->num_parameters())},
          {"multiply-adds a photo", std::to_string(work)}};
}

Rows model_rows(const std::string& path) {
  const ModelCard card = read_card(path);
  Rows rows = spec_rows(card.spec);
  rows.emplace_back("central crop", fmt::format("{:g}", card.preprocess.crop));
  rows.emplace_back("training margin", fmt::format("{:g}", card.training_margin));
  rows.emplace_back("weights hash", card.weights_hash);
  if (card.rule) {
    rows.emplace_back("threshold", fmt::format("{:.6g}", card.rule->threshold));
    rows.emplace_back("measured FAR", fmt::format("{:.6g}", card.rule->far));
    rows.emplace_back("measured TAR", fmt::format("{:.6g}", card.rule->tar));
    rows.emplace_back("measured on",
                      fmt::format("{} same and {} different pairs of {}", card.rule->same_pairs,
                                  card.rule->different_pairs, card.rule->source));
  } else {
    rows.emplace_back("threshold", "none");
  }
  return rows;
}

int run(const GlobalOptions& global, const std::string& file, const std::string& arch) {
  check(file.empty() || arch.empty(), "info: both a file and --arch are given; hint: one of them");
  const Rows rows = !file.empty()   ? model_rows(file)
                    : !arch.empty() ? spec_rows(native_spec(arch))
                                    : machine_rows();
  if (global.json) {
    nlohmann::ordered_json out;
    for (const auto& [name, value] : rows) out[name] = value;
    std::cout << out.dump() << '\n';
  } else {
    for (const auto& [name, value] : rows) std::cout << fmt::format("{:<22} {}\n", name, value);
  }
  return 0;
}

}  // namespace

void add_info(Cli& cli) {
  auto file = std::make_shared<std::string>();
  auto arch = std::make_shared<std::string>();
  Command sub = cli.command("info", "Describe this build and machine, a network, or a model file",
                            "  tern info\n  tern info --arch mobilefacenet\n"
                            "  tern info runs/demo/checkpoints/step-000700.safetensors",
                            [&cli, file, arch](Command&) { return run(cli.global, *file, *arch); });
  sub.text("FILE", *file, "A model file");
  sub.choice("--arch", *arch, known_models(), "A network, at the size it was designed for");
}

}  // namespace tern::app
