// tern bench as text: a table for a terminal of 80 columns, and JSON.

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tern/apps/bench.h"
#include "tern/core/cuda_support.h"
#include "tern/core/parallel.h"
#include "tern/cpu/isa.h"

namespace tern::app {
namespace {

// Four digits and the unit: "86.10ns", "1.234ms", "12.31s".
std::string time_text(double ms) {
  const auto digits = [](double value, const char* unit) {
    return fmt::format("{:.{}f}{}", value, value < 10 ? 3 : value < 100 ? 2 : value < 1000 ? 1 : 0, unit);
  };
  if (ms < 1e-3) return digits(ms * 1e6, "ns");
  if (ms < 1) return digits(ms * 1e3, "us");
  return ms < 1e4 ? digits(ms, "ms") : digits(ms / 1e3, "s");
}

std::string rate_text(const BenchRow& row) {
  const auto text = [](double value, const char* unit) {
    return fmt::format("{:.{}f} {}", value, value < 10 ? 2 : value < 100 ? 1 : 0, unit);
  };
  if (row.images_per_s > 0) return text(row.images_per_s, "img/s");
  if (row.ns_per_op > 0) return text(row.ns_per_op, "ns/op");
  if (row.gflops > 0) return text(row.gflops, "GFLOP/s");
  if (row.gbps > 0) return text(row.gbps, "GB/s");
  return row.memory ? text(row.memory->tensors_mib, "MiB") : "";
}

// What the system says of the processor: its name, and the flags that kernels ask for.
std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.compare(0, 10, "model name") == 0) return line.substr(std::min(line.size(), line.find(':') + 2));
  return "unknown";
}

}  // namespace

std::string table_head() {
  return fmt::format("{:<38} {:>7} {:>7} {:>7} {:>12} {:>4}\n", "", "median", "min", "max", "rate", "peak");
}

std::string table_line(const BenchRow& row) {
  if (!row.missing.empty()) return fmt::format("{:<38} not measured: {}\n", row.name, row.missing);
  std::string line = fmt::format("{:<38} {:>7} {:>7} {:>7} {:>12} {:>4}", row.name, time_text(row.median_ms),
                                 time_text(row.min_ms), time_text(row.max_ms), rate_text(row),
                                 row.of_peak > 0 ? fmt::format("{:.0f}%", 100 * row.of_peak) : "");
  line.erase(line.find_last_not_of(' ') + 1);
  if (row.memory && (row.images_per_s > 0 || row.ns_per_op > 0))
    line += fmt::format(
        "\n    {:.0f} MiB ({:.0f} of tensors); each call: {:.3g} system allocations, {:.3g} new pages",
        row.memory->process_mib, row.memory->tensors_mib, row.memory->system_allocations,
        row.memory->page_faults);
  return line + '\n';
}

std::string to_json_text(const Bench& bench) {
  nlohmann::ordered_json out;
  out["processor"] = processor_name();
  out["device"] = to_string(bench.settings.device);
  if (!bench.settings.device.is_cpu()) out["gpu"] = cuda_support().devices.front();
  out["isa"] = cpu::to_string(cpu::active_isa());
  out["threads"] = num_threads();
  out["precision"] = bench.precision();
  out["batch"] = bench.settings.batch;
  out["peak_gflops"] = bench.peaks().gflops;
  out["peak_gbps"] = bench.peaks().gbps;
  out["results"] = nlohmann::ordered_json::array();
  for (const BenchRow& r : bench.rows()) {
    nlohmann::ordered_json row{{"suite", r.suite}, {"name", r.name}};
    if (!r.missing.empty()) {
      row["missing"] = r.missing;
      out["results"].push_back(row);
      continue;
    }
    row.update(
        {{"median_ms", r.median_ms}, {"min_ms", r.min_ms}, {"max_ms", r.max_ms}, {"rounds", r.rounds}});
    if (r.images_per_s > 0) row["images_per_s"] = r.images_per_s;
    if (r.gflops > 0) row["gflops"] = r.gflops;
    if (r.gbps > 0) row["gbps"] = r.gbps;
    if (r.ns_per_op > 0) row["ns_per_op"] = r.ns_per_op;
    if (r.of_peak > 0)
      row.update({{"of_peak", r.of_peak}, {"of_peak_best", r.of_peak * r.median_ms / r.min_ms}});
    if (r.memory)
      row.update({{"tensors_mib", r.memory->tensors_mib},
                  {"process_mib", r.memory->process_mib},
                  {"system_allocations", r.memory->system_allocations},
                  {"page_faults", r.memory->page_faults}});
    out["results"].push_back(row);
  }
  return out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace tern::app
