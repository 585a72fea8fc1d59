// The tests of tests/nogpu on a GPU: the same sources, linked with the kernels that nvcc compiled, the CUDA
// runtime and the installed libraries. Every operation runs three times there instead of in three thread
// orders, and must give the same bits each time. Without a GPU: the reason, and exit code 77.

#include <gtest/gtest.h>

#include <cstdio>

#include "tern/core/allocator.h"
#include "tern/core/cuda_options.h"
#include "tern/core/cuda_support.h"
#include "tern/tests/nogpu/cudart.h"
#include "tern/tests/nogpu/emulator.h"
#include "tern/tests/nogpu/libraries.h"

namespace nogpu {

void use_library_stand_ins() {}
std::string cudnn_missing() { return ""; }
void set_thread_order(ThreadOrder) {}
std::string take_fault() { return ""; }
std::string take_capture_mistake() { return ""; }
int64_t cuda_mallocs() { return tern::memory_stats({tern::DeviceType::Cuda}).system_allocations; }

// Not known of the real runtime and libraries; the tests that ask are left out below.
Counts counts() { return {}; }
LibraryCounts library_counts() { return {}; }
int64_t queued_operations() { return 0; }

}  // namespace nogpu

namespace {

constexpr const char* kLeftOut =
    "-*Long*:NoGpuConv2d.BiasAndReluArePartOfTheGraph:NoGpuConv2d.Bf16FiltersAreKeptWhileGradientsAreOff:"
    "NoGpuConv2d.TuningLeavesTheResult:NoGpuMatmul.Tf32OnlyWhereAsked:*ASteadyStepWaitsForNothing:"
    "*NothingWaitsForTheDevice*";

// Why there is nothing to run, "" if there is.
std::string missing() {
  const tern::CudaSupport cuda = tern::cuda_support();
  std::string reasons;
  for (const tern::CudaPart& part : cuda.parts)
    if (!part.found) reasons += (reasons.empty() ? "" : "; ") + part.detail;
  return reasons;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (const std::string why = missing(); !why.empty() && !GTEST_FLAG_GET(list_tests)) {
    std::printf("skipped: %s\n", why.c_str());
    return 77;
  }
  if (GTEST_FLAG_GET(filter) == "*") GTEST_FLAG_SET(filter, kLeftOut);
  tern::set_cuda_options({.deterministic = true, .autotune = false});
  return RUN_ALL_TESTS();
}
