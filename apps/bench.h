#pragma once
// Measuring: warm-up, then rounds until the time budget is used, then median and extremes.

#include <functional>
#include <string>
#include <vector>

namespace tern::app {

struct BenchSettings {
  double seconds = 2;  // of measuring, for each row
  int min_rounds = 7;
  int64_t batch = 64;
  std::vector<std::string> models = {"resnet18"};
};

struct BenchResult {
  std::string name;
  double median_ms = 0, min_ms = 0, max_ms = 0;
  int rounds = 0;
  double gflops = 0, gbps = 0, images_per_s = 0;  // at the median; 0: does not apply
  double of_peak = 0;                             // gflops or gbps over the measured peak; 0: not known
};

// What one call of the measured function does.
struct Work {
  double flops = 0, bytes = 0, images = 0;
};

struct Peaks {
  double gflops = 0;  // f32 multiply-adds on all threads
  double gbps = 0;    // stream read
};

BenchResult measure(const std::string& name, const BenchSettings& settings, Work work,
                    const std::function<void()>& call);
Peaks measure_peaks(const BenchSettings& settings, std::vector<BenchResult>& results);

// One suite each; rows are appended to results.
void bench_gemm(const BenchSettings& settings, std::vector<BenchResult>& results);
void bench_conv(const BenchSettings& settings, std::vector<BenchResult>& results);
void bench_train(const BenchSettings& settings, std::vector<BenchResult>& results);
void bench_infer(const BenchSettings& settings, std::vector<BenchResult>& results);

}  // namespace tern::app
