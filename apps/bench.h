#pragma once
// Measuring: a suite offers rows to a Bench, which runs those that are wanted: warm-up, then rounds until the
// time budget is used, then median and extremes, as a share of what the machine can do at best.
//
//   bench.row("sum of 1000", {.bytes = 4000}, [] {
//     const Tensor x = randn({1000});      // made only if the row is wanted
//     return [x] { sum(x); };              // what is measured
//   });

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tern/core/tensor.h"

namespace tern::app {

struct BenchSettings {
  double seconds = 1;  // of measuring, for each row
  int min_rounds = 7;
  int64_t batch = 64;
  DType precision = DType::F32;
  Device device = kCpu;
  bool tf32 = false;                // only a name here; see core/cuda_options.h
  int64_t shrink = 1;               // tests: sizes are divided by it
  std::vector<std::string> models;  // of the suites conv, train, infer and triplet
  std::string only;                 // rows whose name contains one of these, joined with |; empty: all
};

// What one call of the measured function does.
struct Work {
  double flops = 0, bytes = 0, images = 0, ops = 0;
  bool memory = false;  // also measure the memory it takes, from making the inputs on
};

struct BenchRow {
  std::string suite, name;
  std::string missing;                           // why it was not measured; then nothing below counts
  double median_ms = 0, min_ms = 0, max_ms = 0;  // of one call
  int rounds = 0;
  double gflops = 0, gbps = 0, images_per_s = 0, ns_per_op = 0;  // at the median; 0: does not apply
  double of_peak = 0;  // of gflops or gbps, see Peaks; 0: does not apply
  struct Memory {
    double tensors_mib;         // most that tensors took at one time
    double process_mib;         // most that the process took, above what it had when the command began
    double system_allocations;  // of one call after the warm-up: times the system was asked for memory
    double page_faults;         // likewise: pages of memory touched for the first time
  };
  std::optional<Memory> memory;
};

// The yardsticks: the fastest round of each, since everything slower was disturbed.
struct Peaks {
  double gflops = 0;  // multiply-adds of the precision in use, on all threads; on a GPU its largest product
  double gbps = 0;    // the best of stream read, copy and triad; on a GPU a copy of its memory
};

class Bench {
 public:
  Bench(BenchSettings settings, std::function<void(const BenchRow&)> on_row);

  using Call = std::function<void()>;
  // setup makes the inputs and gives the function to measure. A type that it does not take (DTypeError) gives
  // a row that says so.
  void row(const std::string& name, Work work, const std::function<Call()>& setup);
  bool wants(const std::string& name) const;
  void begin_suite(const std::string& suite) { suite_ = suite; }
  bool has_model(const std::string& arch) const;

  // Finds the yardsticks; as_rows: its measurements are wanted as rows too.
  void measure_peaks(bool as_rows);

  const BenchSettings settings;
  const Peaks& peaks() const { return peaks_; }
  const std::vector<BenchRow>& rows() const { return rows_; }
  std::string precision() const {
    return settings.tf32 ? "tf32" : std::string(to_string(settings.precision));
  }
  // A size of the suites, and a tensor where they compute.
  int64_t sized(int64_t n, int64_t least = 1) const { return std::max(least, n / settings.shrink); }
  Tensor here(const Tensor& x) const { return x.to(settings.device); }
  // Normal numbers in the precision of activations.
  Tensor activations(const Shape& shape) const;

 private:
  void add(BenchRow row);
  double best_rate(const std::string& name, const Work& work, const Call& call, bool as_row);
  void measure_device_peaks(bool as_rows);
  std::function<void(const BenchRow&)> on_row_;
  std::vector<BenchRow> rows_;
  std::string suite_;
  Peaks peaks_;
  double idle_mib_;
};

// Everything runs on the calling thread for a scope.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

// One suite each.
void bench_steps(Bench& bench);  // on the way from the naive loop to the packed product
void bench_gemm(Bench& bench);
void bench_conv(Bench& bench);
void bench_norm(Bench& bench);  // batch norm and PReLU
void bench_pool(Bench& bench);
void bench_loss(Bench& bench);
void bench_optimizer(Bench& bench);
void bench_overhead(Bench& bench);
void bench_train(Bench& bench);
void bench_infer(Bench& bench);
void bench_triplet(Bench& bench);

// The table of a terminal, 80 columns wide, line by line.
std::string table_head();
std::string table_line(const BenchRow& row);
std::string to_json_text(const Bench& bench);

}  // namespace tern::app
