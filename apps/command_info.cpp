// tern info [FILE]: this build and machine, a network, or any file of tern's described.

#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "tern/apps/commands.h"
#include "tern/apps/describe.h"
#include "tern/core/allocator.h"
#include "tern/core/cuda_support.h"
#include "tern/core/error.h"
#include "tern/core/parallel.h"
#include "tern/cpu/isa.h"
#include "tern/models/registry.h"

namespace tern::app {
namespace {

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

int run_info(const GlobalOptions& global, const std::string& file, const std::string& arch) {
  check(file.empty() || arch.empty(), "info: both a file and --arch are given; hint: one of them");
  const Rows rows = !file.empty()   ? describe_path(file)
                    : !arch.empty() ? describe_network(native_spec(arch))
                                    : machine_rows();
  if (global.json) {
    nlohmann::ordered_json out;
    for (const auto& [name, value] : rows) out[name] = value;
    std::cout << out.dump() << '\n';
  } else {
    for (const auto& [name, value] : rows) std::cout << fmt::format("{:<24} {}\n", name, value);
  }
  return 0;
}

}  // namespace

void add_info(Cli& cli) {
  auto file = std::make_shared<std::string>();
  auto arch = std::make_shared<std::string>();
  Command sub =
      cli.command("info", "Describe this build and machine, a network, or any file",
                  "  tern info\n  tern info --arch mobilefacenet\n"
                  "  tern info runs/demo/checkpoints/step-000480.safetensors\n  tern info runs/demo\n"
                  "Describes models, training states, other safetensors files, photos, lists of pairs and\n"
                  "of people, run directories and folders of photos.",
                  [&cli, file, arch](Command&) { return run_info(cli.global, *file, *arch); });
  sub.text("FILE", *file, "A file or folder");
  sub.choice("--arch", *arch, known_models(), "A network, at the size it was designed for");
}

}  // namespace tern::app
