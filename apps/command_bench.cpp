// tern bench: what this machine can do, and how much of it the kernels reach.

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "tern/apps/bench.h"
#include "tern/apps/commands.h"
#include "tern/core/error.h"
#include "tern/core/parallel.h"
#include "tern/cpu/isa.h"
#include "tern/models/registry.h"

namespace tern::app {
namespace {

struct Options {
  std::vector<std::string> suites;
  std::string isa = "auto", precision = "f32", models = "";
  BenchSettings settings;
};

const std::vector<std::string> kSuites = {"peaks", "gemm", "conv", "train", "infer"};

void print_table(const std::vector<BenchResult>& results) {
  std::cout << fmt::format("{:<44} {:>10} {:>10} {:>10} {:>9} {:>8} {:>10} {:>7}\n", "name", "median ms",
                           "min ms", "max ms", "GFLOP/s", "GB/s", "images/s", "of peak");
  const auto cell = [](double value, int width, const char* format) {
    return value > 0 ? fmt::format("{:>{}}", fmt::format(fmt::runtime(format), value), width)
                     : std::string(static_cast<size_t>(width), ' ');
  };
  for (const auto& r : results) {
    std::cout << fmt::format("{:<44} {:>10.4f} {:>10.4f} {:>10.4f}", r.name, r.median_ms, r.min_ms, r.max_ms)
              << ' ' << cell(r.gflops, 9, "{:.1f}") << ' ' << cell(r.gbps, 8, "{:.1f}") << ' '
              << cell(r.images_per_s, 10, "{:.1f}") << ' ' << cell(100 * r.of_peak, 7, "{:.0f}%") << '\n';
  }
}

void print_json(const std::vector<BenchResult>& results) {
  nlohmann::ordered_json out;
  out["isa"] = cpu::to_string(cpu::active_isa());
  out["threads"] = num_threads();
  out["results"] = nlohmann::ordered_json::array();
  for (const auto& r : results) {
    nlohmann::ordered_json row{{"name", r.name},
                               {"median_ms", r.median_ms},
                               {"min_ms", r.min_ms},
                               {"max_ms", r.max_ms},
                               {"rounds", r.rounds}};
    if (r.images_per_s > 0) row["images_per_s"] = r.images_per_s;
    if (r.gflops > 0) row["gflops"] = r.gflops;
    if (r.gbps > 0) row["gbps"] = r.gbps;
    if (r.of_peak > 0) row["of_peak"] = r.of_peak;
    out["results"].push_back(row);
  }
  std::cout << out.dump() << '\n';
}

int run(const GlobalOptions& global, Options& options) {
  if (options.isa != "auto")
    for (const auto isa : {cpu::Isa::Reference, cpu::Isa::Baseline, cpu::Isa::Avx2, cpu::Isa::Avx512})
      if (cpu::to_string(isa) == options.isa) cpu::set_isa(isa);
  check(options.precision == "f32", "bench: precision ", options.precision, " is not built yet; hint: f32");
  if (!options.models.empty()) {
    options.settings.models.clear();
    for (size_t at = 0; at != std::string::npos;) {
      const size_t comma = options.models.find(',', at);
      options.settings.models.push_back(options.models.substr(at, comma - at));
      at = comma == std::string::npos ? comma : comma + 1;
    }
  }
  const auto wanted = [&](const char* suite) {
    return options.suites.empty() ||
           std::find(options.suites.begin(), options.suites.end(), suite) != options.suites.end();
  };
  std::vector<BenchResult> results;
  const Peaks peaks = measure_peaks(options.settings, results);
  if (!wanted("peaks")) results.clear();
  if (wanted("gemm")) bench_gemm(options.settings, results);
  if (wanted("conv")) bench_conv(options.settings, results);
  if (wanted("train")) bench_train(options.settings, results);
  if (wanted("infer")) bench_infer(options.settings, results);
  for (auto& r : results)
    r.of_peak = r.gflops > 0 ? r.gflops / peaks.gflops : r.gbps > 0 ? r.gbps / peaks.gbps : 0;
  if (global.json) print_json(results);
  else print_table(results);
  return 0;
}

}  // namespace

void add_bench(Cli& cli) {
  auto options = std::make_shared<Options>();
  CLI::App* sub =
      cli.command("bench", "Measure this machine and tern's kernels on it",
                  "  tern bench peaks gemm\n  tern bench train --models face_net,resnet18 --batch 64\n"
                  "  tern bench conv --isa avx2 --json",
                  [&cli, options] { return run(cli.global, *options); });
  sub->add_option("SUITE", options->suites, "peaks, gemm, conv, train, infer; all if none is named")
      ->check(Cli::one_of(kSuites));
  Cli::choice(sub, "--isa", options->isa, {"auto", "reference", "baseline", "avx2", "avx512"},
              "Instruction set");
  Cli::choice(sub, "--precision", options->precision, {"f32", "bf16"}, "Precision of activations");
  sub->add_option("--models", options->models,
                  "Models of train and infer, joined with commas (default resnet18)")
      ->type_name("NAMES");
  Cli::number(sub, "-b,--batch-size,--batch", options->settings.batch, {1, 4096}, "Images in a batch");
  Cli::number(sub, "--seconds", options->settings.seconds, {0.01, 3600}, "Time to measure each row, seconds");
  Cli::number(sub, "--rounds", options->settings.min_rounds, {1, 10000}, "Rounds at least");
}

}  // namespace tern::app
