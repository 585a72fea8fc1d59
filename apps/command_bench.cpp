// tern bench: what this machine can do, and how much of it the kernels reach.

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>

#include "tern/apps/bench.h"
#include "tern/apps/commands.h"
#include "tern/core/cuda_options.h"
#include "tern/core/cuda_support.h"
#include "tern/core/error.h"
#include "tern/core/parallel.h"
#include "tern/cpu/isa.h"
#include "tern/models/registry.h"

namespace tern::app {
namespace {

struct BenchOptions {
  std::vector<std::string> suites;
  std::string isa = "auto", precision = "f32", models;
  BenchSettings settings;
};

struct Suite {
  const char* name;
  void (*run)(Bench&);
  bool on_a_gpu = true;
};
constexpr Suite kSuites[] = {{"steps", bench_steps, false},
                             {"gemm", bench_gemm},
                             {"conv", bench_conv},
                             {"norm", bench_norm},
                             {"pool", bench_pool},
                             {"loss", bench_loss},
                             {"optimizer", bench_optimizer},
                             {"train", bench_train},
                             {"infer", bench_infer},
                             {"triplet", bench_triplet, false},
                             {"overhead", bench_overhead, false}};

std::vector<std::string> suite_names() {
  std::vector<std::string> names = {"peaks"};
  for (const Suite& suite : kSuites) names.emplace_back(suite.name);
  return names;
}

std::vector<std::string> chosen_models(const std::string& joined) {
  const std::vector<std::string> known = known_models();
  if (joined.empty()) return known;
  std::vector<std::string> models;
  for (size_t at = 0; at != std::string::npos;) {
    const size_t comma = joined.find(',', at);
    models.push_back(joined.substr(at, comma - at));
    at = comma == std::string::npos ? comma : comma + 1;
    check_spec({.arch = models.back(), .size = 64});  // names the known ones
  }
  return models;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string where_measured(const BenchSettings& settings) {
  if (settings.device.is_cuda()) return cuda_support().devices.front();
  return fmt::format("{} threads, {}", num_threads(), to_string(cpu::active_isa()));
}

void choose_isa(const std::string& name) {
  for (const auto isa :
       {cpu::Isa::Reference, cpu::Isa::Baseline, cpu::Isa::Avx2, cpu::Isa::Avx512, cpu::Isa::Amx})
    if (cpu::to_string(isa) == name) cpu::set_isa(isa);
}

void choose_device(const GlobalOptions& global, BenchOptions& options) {
  BenchSettings& s = options.settings;
  s.device = device_of(global);
  s.precision = options.precision == "bf16" ? DType::BF16 : DType::F32;
  s.tf32 = options.precision == "tf32";
  if (s.device.is_cuda()) {
    for (const Suite& suite : kSuites)
      check(suite.on_a_gpu || !contains(options.suites, suite.name), "bench: ", suite.name,
            " is measured on the CPU only; hint: without --device cuda");
  } else {
    check(!s.tf32, "bench: --precision tf32 is of GPUs; hint: --device cuda, or --precision f32");
  }
  CudaOptions cuda = cuda_options();
  cuda.tf32 = s.tf32;
  set_cuda_options(cuda);
}

int run_bench(const GlobalOptions& global, BenchOptions& options) {
  choose_isa(options.isa);
  choose_device(global, options);
  options.settings.models = chosen_models(options.models);
  const auto wanted = [&](const std::string& suite) {
    return options.suites.empty() || contains(options.suites, suite);
  };
  Bench bench(options.settings, [&](const BenchRow& row) {
    if (!global.json) std::cout << table_line(row) << std::flush;
  });
  if (!global.json) std::cout << table_head();
  bench.measure_peaks(wanted("peaks"));
  for (const Suite& suite : kSuites) {
    if (!wanted(suite.name) || !(suite.on_a_gpu || options.settings.device.is_cpu())) continue;
    bench.begin_suite(suite.name);
    suite.run(bench);
  }
  if (global.json) std::cout << to_json_text(bench) << '\n';
  else
    std::cout << fmt::format("{}; of the peak: {:.0f} GFLOP/s, {:.1f} GB/s\n",
                             where_measured(options.settings), bench.peaks().gflops, bench.peaks().gbps);
  return 0;
}

}  // namespace

void add_bench(Cli& cli) {
  auto options = std::make_shared<BenchOptions>();
  Command sub = cli.command(
      "bench", "Measure this machine and tern's kernels on it",
      "  tern bench peaks gemm\n  tern bench train --models face_net,resnet18 --batch 64\n"
      "  tern bench conv --only 3x3/1 --isa avx2 --json\n"
      "Times are of one call, after a warm-up, over rounds. The last column is the share of what the "
      "machine\n"
      "does at best (peaks): multiply-adds of the instruction set in use, or the fastest stream of memory.\n"
      "With --device cuda all but steps, triplet and overhead run on the GPU; a round ends when it is done, "
      "and\nthe best is a product of large matrices and a copy within its memory.",
      [&cli, options](Command&) { return run_bench(cli.global, *options); });
  std::string names;
  for (const auto& name : suite_names()) names += (names.empty() ? "" : ", ") + name;
  sub.texts("SUITE", options->suites, names + "; all if none is named").one_of(suite_names());
  sub.text("--only", options->settings.only, "Only rows whose name contains this, or one of A|B|C")
      .type("TEXT");
  sub.choice("--isa", options->isa, {"auto", "reference", "baseline", "avx2", "avx512", "amx"},
             "Instruction set");
  sub.choice("--precision", options->precision, {"f32", "tf32", "bf16"},
             "Precision of activations; tf32: f32 with rounded inputs, of GPUs");
  sub.text("--models", options->models,
           "Models of conv, train, infer and triplet, joined with commas (default all)")
      .type("NAMES");
  sub.number("-b,--batch-size,--batch", options->settings.batch, {1, 4096}, "Images in a batch");
  sub.number("--seconds", options->settings.seconds, {0.01, 3600}, "Time to measure each row, seconds");
  sub.number("--rounds", options->settings.min_rounds, {1, 10000}, "Rounds at least");
}

}  // namespace tern::app
