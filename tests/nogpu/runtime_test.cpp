// The runtime of cuda/ over the stand-in: discovery, allocator, staging, errors.

#include "tern/cuda/runtime.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <numeric>
#include <vector>

#include "tern/core/cuda_support.h"
#include "tern/core/error.h"
#include "tern/core/philox.h"
#include "tern/tests/nogpu/checker.h"
#include "tern/tests/nogpu/cudart.h"
#include "tern/tests/nogpu/faults.h"
#include "tern/tests/support/tensors.h"

namespace nogpu {
namespace {

using tern::DeviceError;
using tern::MemoryError;
using tern::cu::CachingAllocator;
using tern::cu::Staging;
using tern::test::expect_error;

constexpr tern::Device kCuda{tern::DeviceType::Cuda, 0};
constexpr int64_t kMiB = int64_t{1} << 20;

class NoGpuRuntime : public testing::Test {
 protected:
  void SetUp() override { tern::cu::reset_runtimes_for_test(); }  // of tests before, in the same process
  void TearDown() override {
    tern::cu::reset_runtimes_for_test();
    set_machine({});
    EXPECT_EQ(device_bytes_in_use(), 0);
    EXPECT_EQ(host_allocations(), 0);
    EXPECT_EQ(live_handles(), 0);
  }
};

// ---- discovery ----

TEST_F(NoGpuRuntime, NamesTheMissingDriver) {
  set_machine({.devices = 0, .driver = 0});
  const tern::CudaSupport support = tern::cu::cuda_support();
  ASSERT_FALSE(support.parts.empty());
  EXPECT_EQ(support.parts[0].name, "driver");
  EXPECT_FALSE(support.parts[0].found);
  EXPECT_TRUE(support.devices.empty());
  expect_error<DeviceError>([] { tern::cu::runtime(kCuda); },
                            {"cuda:0", "no NVIDIA driver", "hint: install", "--device cpu"});
}

TEST_F(NoGpuRuntime, NamesAnOldDriverAndAnAbsentGpu) {
  set_machine({.devices = 1, .driver = 12040});
  expect_error<DeviceError>([] { tern::cu::runtime(kCuda); }, {"supports CUDA 12.4", "needs 13.0"});
  set_machine({.devices = 0});
  expect_error<DeviceError>([] { tern::cu::runtime(kCuda); }, {"no NVIDIA GPU is visible", "nvidia-smi"});
}

TEST_F(NoGpuRuntime, RefusesOldGpusAndIndicesThatDoNotExist) {
  set_machine({.major = 7, .minor = 5});
  expect_error<DeviceError>([] { tern::cu::runtime(kCuda); }, {"too old", "sm_80"});
  set_machine({});
  expect_error<DeviceError>(
      [] {
        tern::cu::runtime({tern::DeviceType::Cuda, 3});
      },
      {"cuda:3", "there are 1"});
  expect_error<DeviceError>([] { tern::cu::runtime({tern::DeviceType::Cuda, 99}); }, {"cuda:99"});
}

TEST_F(NoGpuRuntime, DescribesTheDevice) {
  const tern::CudaSupport support = tern::cu::cuda_support();
  ASSERT_EQ(support.devices.size(), 1u);
  EXPECT_EQ(support.devices[0], "cuda:0 no GPU (CPU stand-in), sm_90, 1024 MiB");
  EXPECT_EQ(tern::cu::runtime(kCuda).properties().major, 9);
}

// ---- allocator ----

TEST_F(NoGpuRuntime, AllocatorAsksTheDriverOnceInSteadyState) {
  CachingAllocator memory(0);
  int64_t asked = 0;
  for (int step = 0; step < 5; ++step) {
    std::vector<void*> blocks;
    for (const int64_t bytes : {1, 4096, 300'000, 3'000'000, 20'000'000})
      blocks.push_back(memory.allocate(bytes));
    for (void* block : blocks) memory.deallocate(block);
    if (step == 0) asked = cuda_mallocs();
  }
  EXPECT_EQ(cuda_mallocs(), asked);
  EXPECT_EQ(memory.stats().in_use, 0);
  EXPECT_EQ(memory.stats().system_allocations, 3);  // the three small ones share a segment
}

TEST_F(NoGpuRuntime, AllocatorBlocksAreAlignedAndDisjoint) {
  CachingAllocator memory(0);
  tern::PhiloxSequence random(3, tern::RandomStream::Init, 0);
  std::map<char*, int64_t> live;
  for (int i = 0; i < 400; ++i) {
    if (!live.empty() && random.below(2) == 0) {
      auto victim = std::next(live.begin(), random.below(static_cast<uint32_t>(live.size())));
      memory.deallocate(victim->first);
      live.erase(victim);
      continue;
    }
    const int64_t bytes = random.below(200'000);
    auto* data = static_cast<char*>(memory.allocate(bytes));
    ASSERT_EQ(reinterpret_cast<uintptr_t>(data) % 256, 0u);
    ASSERT_TRUE(is_device_memory(data, static_cast<size_t>(bytes)));
    const auto next = live.lower_bound(data);
    ASSERT_TRUE(next == live.end() || data + bytes <= next->first);
    ASSERT_TRUE(next == live.begin() || std::prev(next)->first + std::prev(next)->second <= data);
    live.emplace(data, bytes);
  }
  for (const auto& [data, bytes] : live) memory.deallocate(data);
  // Everything has joined again: the segments are whole and can go back.
  memory.release_cached();
  EXPECT_EQ(memory.stats().cached, 0);
  EXPECT_EQ(device_bytes_in_use(), 0);
}

TEST_F(NoGpuRuntime, AllocatorCountsAndGivesTheSameAddressesAgain) {
  const auto run = [](CachingAllocator& memory) {
    std::vector<void*> got;
    for (int64_t bytes = 100; bytes < 100'000; bytes *= 3) got.push_back(memory.allocate(bytes));
    const std::vector<void*> result = got;
    for (void* block : got) memory.deallocate(block);
    return result;
  };
  CachingAllocator memory(0);
  const auto first = run(memory), second = run(memory);
  EXPECT_EQ(first, second);
  void* block = memory.allocate(1000);
  EXPECT_EQ(memory.stats().in_use, 1024);
  EXPECT_GT(memory.stats().peak_in_use, 1024);
  memory.reset_peak();
  EXPECT_EQ(memory.stats().peak_in_use, 1024);
  memory.deallocate(block);
}

TEST_F(NoGpuRuntime, OutOfMemoryIsTypedAndLeavesTheAllocatorWhole) {
  set_machine({.memory = 64 * kMiB});
  CachingAllocator memory(0);
  void* kept = memory.allocate(30 * kMiB);
  expect_error<MemoryError>([&] { memory.allocate(40 * kMiB); },
                            {"40 MiB asked for on cuda:0", "64 MiB", "30 MiB in use", "hint"});
  EXPECT_EQ(memory.stats().in_use, 30 * kMiB);
  memory.deallocate(kept);
  memory.deallocate(memory.allocate(40 * kMiB));  // what was kept for reuse goes back to the driver first
  EXPECT_EQ(memory.stats().cached, 40 * kMiB);
}

// ---- staging ----

TEST_F(NoGpuRuntime, UploadAndDownloadKeepTheBytes) {
  tern::cu::Runtime& gpu = tern::cu::runtime(kCuda);
  for (const int64_t bytes :
       {int64_t{0}, int64_t{1}, int64_t{1000}, Staging::kBufferBytes - 1, Staging::kBufferBytes,
        Staging::kBufferBytes + 1, 3 * Staging::kBufferBytes + 5}) {
    std::vector<unsigned char> out(static_cast<size_t>(bytes)), back(out.size());
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<unsigned char>(i * 7 + i / 251);
    void* data = gpu.allocator().allocate(bytes);
    const auto sent = out;
    gpu.staging().upload(data, out.data(), bytes);
    std::fill(out.begin(), out.end(), 0);  // the host may change its bytes as soon as upload returns
    gpu.staging().download(back.data(), data, bytes);
    EXPECT_EQ(back, sent) << bytes;
    gpu.allocator().deallocate(data);
  }
}

TEST_F(NoGpuRuntime, UploadsDoNotWaitForTheDevice) {
  tern::cu::Runtime& gpu = tern::cu::runtime(kCuda);
  std::vector<int> host(1000, 1);
  void* data = gpu.allocator().allocate(4000);
  gpu.staging().upload(data, host.data(), 4000);
  EXPECT_GT(queued_operations(), 0);  // nothing has run yet
  gpu.synchronize();
  EXPECT_EQ(queued_operations(), 0);
  gpu.allocator().deallocate(data);
}

// An upload over memory that an earlier kernel reads must come after that kernel; a kernel after it must see
// it.
TEST_F(NoGpuRuntime, UploadsAreOrderedWithTheComputeStream) {
  tern::cu::Runtime& gpu = tern::cu::runtime(kCuda);
  auto* p = static_cast<int*>(gpu.allocator().allocate(64 * 4));
  std::vector<int> ones(64, 1), back(64);
  gpu.staging().upload(p, ones.data(), 64 * 4);
  run_fault(Planted::None, p, p, gpu.compute_stream());  // p[i] = (i + 33) % 64
  gpu.staging().upload(p, ones.data(), 64 * 4);
  gpu.staging().download(back.data(), p, 64 * 4);
  EXPECT_EQ(back, ones);
  run_fault(Planted::None, p, p, gpu.compute_stream());
  gpu.staging().download(back.data(), p, 64 * 4);
  for (int i = 0; i < 64; ++i) EXPECT_EQ(back[static_cast<size_t>(i)], (i + 33) % 64);
  gpu.allocator().deallocate(p);
}

// ---- errors ----

TEST_F(NoGpuRuntime, AFaultNamesTheCallAndTheRemedy) {
  tern::cu::Runtime& gpu = tern::cu::runtime(kCuda);
  auto* p = static_cast<int*>(gpu.allocator().allocate(64 * 4));
  run_fault(Planted::EarlyReturn, p, p, gpu.compute_stream());
  expect_error<DeviceError>([&] { gpu.synchronize(); }, {"cudaStreamSynchronize", "cudaErrorLaunchFailure",
                                                         "early_return", "TERN_SYNC=1"});
  take_fault();
  gpu.allocator().deallocate(p);
}

}  // namespace
}  // namespace nogpu
