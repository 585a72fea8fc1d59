#include "tern/apps/bench.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "tern/core/allocator.h"
#include "tern/core/parallel.h"
#include "tern/core/tensor.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/peaks_kernels.h"
#include "tern/ops/creation.h"

namespace tern::app {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

const cpu::PeaksKernels& peaks_kernels() {
  return cpu::isa_pick(
      []() -> auto& { return cpu::baseline::peaks_table; }, []() -> auto& { return cpu::avx2::peaks_table; },
      []() -> auto& { return cpu::avx512::peaks_table; });
}

}  // namespace

BenchResult measure(const std::string& name, const BenchSettings& settings, Work work,
                    const std::function<void()>& call) {
  call();  // warm-up: caches, pages, packed weights
  call();
  std::vector<double> times;
  const auto begin = Clock::now();
  while (static_cast<int>(times.size()) < settings.min_rounds || ms_since(begin) < settings.seconds * 1e3) {
    const auto round = Clock::now();
    call();
    times.push_back(ms_since(round));
    if (times.size() >= 10000) break;
  }
  std::sort(times.begin(), times.end());
  BenchResult result;
  result.name = name;
  result.rounds = static_cast<int>(times.size());
  result.median_ms = times[times.size() / 2];
  result.min_ms = times.front();
  result.max_ms = times.back();
  result.gflops = work.flops / result.median_ms / 1e6;
  result.gbps = work.bytes / result.median_ms / 1e6;
  result.images_per_s = work.images / result.median_ms * 1e3;
  return result;
}

Peaks measure_peaks(const BenchSettings& settings, std::vector<BenchResult>& results) {
  const auto& kernels = peaks_kernels();
  const int threads = num_threads();
  constexpr int64_t kRounds = 2'000'000;
  std::atomic<float> sink{0};
  BenchResult fma = measure("peak f32 multiply-add", settings,
                            {.flops = static_cast<double>(kernels.flops_per_round) * kRounds * threads}, [&] {
                              parallel_for(threads, 1, [&](int64_t begin, int64_t end) {
                                for (int64_t i = begin; i < end; ++i) sink = kernels.multiply_add(kRounds);
                              });
                            });
  constexpr int64_t kFloats = int64_t{64} << 20;  // 256 MiB: beyond the caches that count
  const Tensor x = ones({kFloats});
  const float* data = x.data<float>();
  constexpr int64_t kChunk = 1 << 20;
  BenchResult read = measure("peak stream read", settings, {.bytes = static_cast<double>(kFloats) * 4}, [&] {
    parallel_for(kFloats / kChunk, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) sink = kernels.read(data + i * kChunk, kChunk);
    });
  });
  // The fastest round is the peak: everything slower was disturbed.
  const Peaks peaks{fma.gflops * fma.median_ms / fma.min_ms, read.gbps * read.median_ms / read.min_ms};
  results.push_back(fma);
  results.push_back(read);
  return peaks;
}

}  // namespace tern::app
