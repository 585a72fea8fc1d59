#include "tern/apps/bench.h"

#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <sstream>

#include "tern/core/allocator.h"
#include "tern/core/autograd.h"
#include "tern/core/cuda_support.h"
#include "tern/core/error.h"
#include "tern/core/parallel.h"
#include "tern/core/tensor.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/peaks_kernels.h"
#include "tern/ops/creation.h"
#include "tern/ops/linear.h"
#include "tern/ops/matmul.h"

namespace tern::app {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

constexpr double kMib = 1 << 20;

// A line of /proc/self/status in MiB: "VmRSS" (now), "VmHWM" (most so far). 0 where there is none.
double process_mib(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.compare(0, key.size() + 1, key + ":") != 0) continue;
    double kib = 0;
    std::istringstream(line.substr(key.size() + 1)) >> kib;
    return kib / 1024;
  }
  return 0;
}

// Gives back what earlier rows left behind, and starts the records of the most memory taken anew.
void reset_memory(Device device) {
  release_cached_memory(device);
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5";
  reset_peak_memory(device);
}

double page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_minflt);
}

struct Times {
  double median_ms, min_ms, max_ms;
  int rounds;
  double calls;
};

// Caches, pages, packed weights, blocks of the allocator: until calls find what they need where it was.
void warm_up(const BenchSettings& settings, const Bench::Call& call) {
  constexpr int kCalls = 2;
  constexpr double kMs = 20;
  const auto begin = Clock::now();
  for (int i = 0; i < kCalls || ms_since(begin) < kMs; ++i) {
    call();
    wait_for_device(settings.device);
  }
}

// A short call is repeated within a round, so that the clock's own time, and the wait for a device at the end
// of the round, do not count.
Times take_times(const BenchSettings& settings, const Bench::Call& call) {
  constexpr double kShortestRound = 0.5;
  constexpr size_t kMostRounds = 10000;
  auto begin = Clock::now();
  call();
  wait_for_device(settings.device);
  const double once = ms_since(begin);
  const int repeat = once >= kShortestRound ? 1 : static_cast<int>(kShortestRound / std::max(once, 1e-5)) + 1;
  std::vector<double> times;
  begin = Clock::now();
  while (times.size() < static_cast<size_t>(settings.min_rounds) ||
         ms_since(begin) < settings.seconds * 1e3) {
    const auto round = Clock::now();
    for (int i = 0; i < repeat; ++i) call();
    wait_for_device(settings.device);
    times.push_back(ms_since(round) / repeat);
    if (times.size() >= kMostRounds) break;
  }
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times.front(), times.back(), static_cast<int>(times.size()),
          static_cast<double>(times.size()) * repeat};
}

const cpu::PeaksKernels& peaks_kernels() {
  return cpu::isa_pick(
      []() -> auto& { return cpu::baseline::peaks_table; }, []() -> auto& { return cpu::avx2::peaks_table; },
      []() -> auto& { return cpu::avx512::peaks_table; });
}

}  // namespace

OneThread::OneThread() : before_(num_threads()) { set_num_threads(1); }
OneThread::~OneThread() { set_num_threads(before_); }

Bench::Bench(BenchSettings settings, std::function<void(const BenchRow&)> on_row)
    : settings(std::move(settings)), on_row_(std::move(on_row)), idle_mib_(process_mib("VmRSS")) {}

bool Bench::wants(const std::string& name) const {
  std::istringstream parts(settings.only);
  bool asked = false, found = false;
  for (std::string part; std::getline(parts, part, '|'); asked = true)
    found = found || name.find(part) != std::string::npos;
  return found || !asked;
}

bool Bench::has_model(const std::string& arch) const {
  return std::find(settings.models.begin(), settings.models.end(), arch) != settings.models.end();
}

void Bench::add(BenchRow row) {
  rows_.push_back(std::move(row));
  if (on_row_) on_row_(rows_.back());
}

void Bench::row(const std::string& name, Work work, const std::function<Call()>& setup) {
  if (!wants(name)) return;
  BenchRow row{.suite = suite_, .name = name};
  if (work.memory) reset_memory(settings.device);
  try {
    const int64_t in_use = memory_stats(settings.device).in_use;
    const Call call = setup();
    warm_up(settings, call);
    const int64_t asked = memory_stats(settings.device).system_allocations;
    const double faults = page_faults();
    const Times times = take_times(settings, call);
    row.median_ms = times.median_ms, row.min_ms = times.min_ms, row.max_ms = times.max_ms;
    row.rounds = times.rounds;
    if (work.memory) {
      const MemoryStats stats = memory_stats(settings.device);
      row.memory = {static_cast<double>(stats.peak_in_use - in_use) / kMib,
                    std::max(0.0, process_mib("VmHWM") - idle_mib_),
                    static_cast<double>(stats.system_allocations - asked) / times.calls,
                    (page_faults() - faults) / times.calls};
    }
  } catch (const DTypeError& error) {
    row.missing = error.what();
    return add(std::move(row));
  }
  row.gflops = work.flops / row.median_ms / 1e6;
  row.gbps = work.bytes / row.median_ms / 1e6;
  row.images_per_s = work.images / row.median_ms * 1e3;
  row.ns_per_op = work.ops > 0 ? row.median_ms * 1e6 / work.ops : 0;
  if (work.flops > 0) row.of_peak = row.gflops / peaks_.gflops;
  else if (work.bytes > 0) row.of_peak = row.gbps / peaks_.gbps;
  add(std::move(row));
}

Tensor Bench::activations(const Shape& shape) const {
  const Tensor x = randn(shape, {.step = static_cast<uint64_t>(shape.numel())});
  return here(settings.precision == DType::F32 ? x : x.to(settings.precision));
}

// GFLOP/s or GB/s of the fastest round.
double Bench::best_rate(const std::string& name, const Work& work, const Call& call, bool as_row) {
  BenchSettings quick = settings;
  if (!as_row) quick.seconds = std::min(quick.seconds, 0.2);
  call();
  const Times times = take_times(quick, call);
  BenchRow row{.suite = suite_,
               .name = name,
               .median_ms = times.median_ms,
               .min_ms = times.min_ms,
               .max_ms = times.max_ms,
               .rounds = times.rounds};
  row.gflops = work.flops / times.median_ms / 1e6;
  row.gbps = work.bytes / times.median_ms / 1e6;
  if (as_row && wants(name)) add(row);
  return std::max(work.flops, work.bytes) / times.min_ms / 1e6;
}

// What a GPU's makers promise is for others to say: its yardsticks are a product of large matrices and a copy
// within its memory.
void Bench::measure_device_peaks(bool as_rows) {
  const NoGradGuard no_grad;
  const int64_t n = sized(8192, 16), floats = sized(int64_t{256} << 20, 1024);
  {
    const Tensor a = activations({n, n}), b = here(randn({n, n}));
    const bool weights = settings.precision == DType::BF16;
    peaks_.gflops = best_rate(
        "gemm " + precision() + " " + std::to_string(n), {.flops = 2.0 * static_cast<double>(n * n * n)},
        [&] { weights ? linear(a, b) : matmul(a, b); }, as_rows);
  }
  const Tensor from = here(ones({floats}));
  Tensor to = here(zeros({floats}));
  peaks_.gbps = best_rate(
      "copy of device memory", {.bytes = 8.0 * static_cast<double>(floats)}, [&] { to.copy_from(from); },
      as_rows);
}

void Bench::measure_peaks(bool as_rows) {
  begin_suite("peaks");
  if (!settings.device.is_cpu()) return measure_device_peaks(as_rows);
  std::atomic<float> sink{0};
  const auto best = [&](const std::string& name, Work work, const Call& call) {
    return best_rate(name, work, call, as_rows);
  };

  const auto multiply_adds = [&](const std::string& name, const auto& kernels, int64_t rounds) {
    const double flops = static_cast<double>(kernels.flops_per_round * rounds * num_threads());
    return best(name, {.flops = flops}, [&] {
      parallel_for(num_threads(), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) sink = kernels.multiply_add(rounds);
      });
    });
  };
  // Of each instruction set; the yardstick is the one in use, for the naive loops the best.
  const cpu::Isa active = cpu::active_isa(), judged = cpu::use_reference() ? cpu::best_isa() : active;
  for (const auto isa : {cpu::Isa::Baseline, cpu::Isa::Avx2, cpu::Isa::Avx512}) {
    const bool yardstick = isa == std::min(judged, cpu::Isa::Avx512);
    if (!cpu::isa_available(isa) || !(as_rows || yardstick)) continue;
    cpu::set_isa(isa);
    const double gflops =
        multiply_adds("multiply-add f32 " + std::string(to_string(isa)), peaks_kernels(), 200'000);
    cpu::set_isa(active);
    if (yardstick) peaks_.gflops = gflops;
  }
  if constexpr (cpu::kX86) {
    const bool yardstick = judged == cpu::Isa::Amx && settings.precision == DType::BF16;
    if (cpu::isa_available(cpu::Isa::Amx) && (as_rows || yardstick)) {
      const double gflops = multiply_adds("multiply-add bf16 amx", cpu::amx::peaks_tile_table, 5'000);
      if (yardstick) peaks_.gflops = gflops;
    }
  }

  constexpr int64_t kFloats = int64_t{64} << 20, kChunk = 1 << 18;  // 256 MiB: beyond the caches that count
  const Tensor x = ones({kFloats}), y = ones({kFloats}), z = ones({kFloats});
  const float *from = x.data<float>(), *other = y.data<float>();
  float* to = z.mutable_data<float>();
  const auto& kernels = peaks_kernels();
  const auto stream = [&](const std::string& name, double arrays, auto&& part) {
    const double gbps = best(name, {.bytes = arrays * static_cast<double>(kFloats) * 4}, [&] {
      parallel_for(kFloats / kChunk, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) part(i * kChunk);
      });
    });
    peaks_.gbps = std::max(peaks_.gbps, gbps);
  };
  stream("stream read", 1, [&](int64_t i) { sink = kernels.read(from + i, kChunk); });
  stream("stream copy", 2, [&](int64_t i) { kernels.copy(from + i, kChunk, to + i); });
  stream("stream triad", 3, [&](int64_t i) { kernels.triad(from + i, other + i, kChunk, to + i); });
}

}  // namespace tern::app
