// The emulator's self-test: every planted fault must be reported, by the builds that can see it, and the
// right twins of the faulty kernels must pass.

#include "tern/tests/nogpu/emulator.h"

#include <gtest/gtest.h>

#include <vector>

#include "tern/core/error.h"
#include "tern/cuda/handles.h"
#include "tern/tests/nogpu/checker.h"
#include "tern/tests/nogpu/cudart.h"
#include "tern/tests/nogpu/faults.h"
#include "tern/tests/nogpu/tally.h"

namespace nogpu {
namespace {

constexpr int kElements = 64;

struct Case {
  Planted planted;
  const char* name;
  // A word of the report in the race build; "" where nothing is wrong, null where this build cannot see it
  // (g++ reads the four floats of a vector one by one).
  const char* race;
  const char* plain;  // in the plain build; "" where it cannot be seen
  const char* asan;  // what AddressSanitizer or UBSan prints before it ends the process; "" where it does not
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

const Case kCases[] = {
    {Planted::None, "None", "", "", ""},
    {Planted::MissingBarrier, "MissingBarrier", "nobody wrote", "", ""},
    {Planted::MissingWarpBarrier, "MissingWarpBarrier", "nobody wrote", "", ""},
    {Planted::OverwriteEarly, "OverwriteEarly", "race: thread", "", ""},
    {Planted::NoneWarpBarrier, "NoneWarpBarrier", "", "", ""},
    {Planted::ReadPastEnd, "ReadPastEnd", "no live device allocation", "", "heap-buffer-overflow"},
    {Planted::WritePastEnd, "WritePastEnd", "no live device allocation", "", "heap-buffer-overflow"},
    {Planted::SharedPastEnd, "SharedPastEnd", "nobody wrote", "", "index 32 out of bounds"},
    {Planted::Uninitialised, "Uninitialised", "nobody wrote", "", ""},
    {Planted::StaleShared, "StaleShared", "nobody wrote", "", ""},
    {Planted::BarrierInBranches, "BarrierInBranches", "divergent barrier", "divergent barrier", ""},
    {Planted::BarrierInOneBranch, "BarrierInOneBranch", "returned", "returned", ""},
    {Planted::EarlyReturn, "EarlyReturn", "returned", "returned", ""},
    {Planted::ShuffleTail, "ShuffleTail", "returned", "returned", ""},
    {Planted::HostPointer, "HostPointer", "no live device allocation", "", ""},
    {Planted::MisalignedVector, "MisalignedVector", nullptr, "", "misaligned address"},
    {Planted::AcrossBlocks, "AcrossBlocks", "race: another block", "", ""},
    {Planted::MixedAtomic, "MixedAtomic", "race: thread", "", ""},
    {Planted::NoneAtomic, "NoneAtomic", "", "", ""},
    {Planted::TooManyThreads, "TooManyThreads", "no valid launch", "no valid launch", ""},
};

// Runs the fault in fresh memory and gives the error's text, "" if there was none.
std::string report(Planted planted) {
  // The allocations end with their last element, so that one past it is nobody's.
  const size_t bytes = kElements * sizeof(int);
  int* p = static_cast<int*>(device_allocate(bytes));
  int* q = static_cast<int*>(device_allocate(bytes));
  std::vector<int> host(kElements, 1);
  std::memset(p, 0, bytes);
  device_written(p, bytes);
  if (planted != Planted::Uninitialised) {
    std::memset(q, 0, bytes);
    device_written(q, bytes);
  }
  std::string text;
  {
    tern::cu::StreamHandle stream;
    try {
      run_fault(planted, p, planted == Planted::HostPointer ? host.data() : q, stream.get());
      TERN_CUDA_CALL(cudaStreamSynchronize(stream.get()));
    } catch (const tern::Error& error) {
      text = error.what();
    }
  }
  device_free(p);
  device_free(q);
  take_fault();
  return text;
}

class NoGpuFaults : public testing::TestWithParam<Case> {
 protected:
  void TearDown() override { set_thread_order(ThreadOrder::Ascending); }
};

TEST_P(NoGpuFaults, IsReported) {
  const Case& c = GetParam();
  const bool seen = build() == Build::Race ? c.race != nullptr : *c.plain != 0;
  const std::string expected = !seen ? "" : build() == Build::Race ? c.race : c.plain;
  if (build() == Build::Asan && *c.asan) {
    EXPECT_DEATH(report(c.planted), c.asan);
    tally("fault", c.name);
    return;
  }
  for (const auto order : {ThreadOrder::Ascending, ThreadOrder::Descending, ThreadOrder::Shuffled}) {
    set_thread_order(order);
    const std::string text = report(c.planted);
    if (c.race && *c.race == 0) {
      EXPECT_EQ(text, "");
    } else {
      EXPECT_NE(text.find(expected), std::string::npos) << text;  // finds "" in everything
    }
  }
  if (!expected.empty() && !HasFailure()) tally("fault", c.name);
}

INSTANTIATE_TEST_SUITE_P(, NoGpuFaults, testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.name; });

TEST(NoGpuEmulator, TheReportNamesKernelBlockThreadAndLine) {
  const std::string text = report(Planted::BarrierInBranches);
  for (const char* word : {"branch_barrier block (0,0,0) thread", "faults.cu:"})
    EXPECT_NE(text.find(word), std::string::npos) << text;
}

TEST(NoGpuEmulator, RaceBuildSeesEveryAccess) {
  const uint64_t before = counts().checked_accesses;
  report(Planted::None);
  // Per thread: a write and a read of shared memory, a write of global memory.
  EXPECT_EQ(counts().checked_accesses - before, build() == Build::Race ? 3u * 64 : 0u);
}

TEST(NoGpuEmulator, AFaultOnAStreamDoesNotStopTheNext) {
  EXPECT_NE(report(Planted::EarlyReturn), "");
  EXPECT_EQ(report(Planted::None), "");
}

}  // namespace
}  // namespace nogpu
