// tern info [FILE]: this build and machine, or any file of tern's described.

#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "tern/apps/commands.h"
#include "tern/core/allocator.h"
#include "tern/core/device.h"
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
  return {{"version", TERN_VERSION},
          {"compiler", __VERSION__},
          {"instruction set", std::string(cpu::to_string(cpu::active_isa()))},
          {"best instruction set", std::string(cpu::to_string(cpu::best_isa()))},
          {"threads", std::to_string(num_threads())},
          {"memory available", fmt::format("{} MiB", available_memory() >> 20)},
          {"cuda", kWithCuda ? "built in" : "not built in"},
          {"architectures", arches}};
}

Rows model_rows(const std::string& path) {
  const ModelCard card = read_card(path);
  Rows rows{
      {"architecture", card.spec.arch},
      {"input", fmt::format("{0}x{0}, {1}", card.spec.size, card.spec.channels == 1 ? "grey" : "colour")},
      {"central crop", fmt::format("{:g}", card.preprocess.crop)},
      {"embedding", std::to_string(card.spec.embedding_dim)},
      {"training margin", fmt::format("{:g}", card.training_margin)},
      {"weights hash", card.weights_hash}};
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

int run(const GlobalOptions& global, const std::string& file) {
  const Rows rows = file.empty() ? machine_rows() : model_rows(file);
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
  CLI::App* sub = cli.command("info", "Describe this build and machine, or a model file",
                              "  tern info\n  tern info runs/demo/checkpoints/step-000700.safetensors",
                              [&cli, file] { return run(cli.global, *file); });
  sub->add_option("FILE", *file, "A model file");
}

}  // namespace tern::app
