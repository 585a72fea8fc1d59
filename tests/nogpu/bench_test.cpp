// tern bench --device cuda runs to its end: every suite at a hundredth of its sizes, on the stand-ins. What
// the clock says here means nothing.

#include "tern/apps/bench.h"

#include <set>

#include "tern/core/cuda_options.h"
#include "tern/tests/nogpu/library_test.h"

namespace tern::app {
namespace {

class NoGpuBench : public nogpu::CudnnTest {};

// The rows of all suites that --device cuda offers, or those whose name contains one of `only`.
std::vector<BenchRow> run_all(DType precision, bool tf32 = false, const char* only = "") {
  set_cuda_options({.tf32 = tf32, .autotune = false});
  Bench bench({.seconds = 1e-6,
               .min_rounds = 1,
               .batch = 4,
               .precision = precision,
               .device = test::kCuda,
               .tf32 = tf32,
               .shrink = 100,
               .models = {"tiny"},
               .only = only},
              {});
  bench.measure_peaks(true);
  const std::pair<const char*, void (*)(Bench&)> suites[] = {
      {"gemm", bench_gemm}, {"conv", bench_conv},           {"norm", bench_norm},   {"pool", bench_pool},
      {"loss", bench_loss}, {"optimizer", bench_optimizer}, {"train", bench_train}, {"infer", bench_infer}};
  for (const auto& [name, run] : suites) {
    bench.begin_suite(name);
    run(bench);
  }
  EXPECT_GT(bench.peaks().gflops, 0);
  EXPECT_GT(bench.peaks().gbps, 0);
  return bench.rows();
}

void expect_complete(const std::vector<BenchRow>& rows, const std::set<std::string>& expected) {
  std::set<std::string> suites;
  for (const BenchRow& row : rows) {
    EXPECT_EQ(row.missing, "") << row.name;
    EXPECT_GT(row.median_ms, 0) << row.name;
    suites.insert(row.suite);
  }
  EXPECT_EQ(suites, expected);
}

TEST_F(NoGpuBench, EverySuiteRunsToItsEnd) {
  expect_complete(run_all(DType::F32),
                  {"peaks", "gemm", "conv", "norm", "pool", "loss", "optimizer", "train", "infer"});
}
// Few rows: cuDNN compiles most bf16 plans when they are made.
TEST_F(NoGpuBench, Bf16) {
  expect_complete(run_all(DType::BF16, false, "gemm|1->32|bn+relu|train"),
                  {"peaks", "gemm", "conv", "norm", "train"});
}

TEST_F(NoGpuBench, Tf32ReachesTheProducts) {
  const int64_t before = nogpu::library_counts().tf32_matmuls;
  const auto rows = run_all(DType::F32, true, "gemm|train");
  expect_complete(rows, {"peaks", "gemm", "train"});
  EXPECT_GT(nogpu::library_counts().tf32_matmuls, before);
  EXPECT_NE(rows[0].name.find("tf32"), std::string::npos);
}

}  // namespace
}  // namespace tern::app
