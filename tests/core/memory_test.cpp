#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tern/core/allocator.h"
#include "tern/core/derived.h"
#include "tern/ops/creation.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

TEST(Allocator, ReusesFreedBlocksAndCounts) {
  { Tensor::empty({1000}); }
  const MemoryStats before = memory_stats();
  for (int i = 0; i < 10; ++i) Tensor::empty({1000});
  const MemoryStats after = memory_stats();
  EXPECT_EQ(after.system_allocations, before.system_allocations);
  EXPECT_EQ(after.in_use, before.in_use);
}

TEST(Allocator, EverySizeIsAlignedAndBigEnough) {
  for (int64_t bytes : {0, 1, 63, 64, 65, 100, 127, 128, 129, 191, 193, 4095, 4097, 100000, 3000000}) {
    auto* data = static_cast<char*>(allocate_bytes(bytes, kCpu));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % 64, 0u) << bytes;
    for (int64_t i = 0; i < bytes; ++i) data[i] = 1;  // under ASan: really there
    deallocate_bytes(data, bytes, kCpu);
  }
}

TEST(Allocator, LargeBlocksShareTheirMemory) {
  constexpr int64_t kMiB = int64_t{1} << 20;
  release_cached_memory();
  EXPECT_EQ(memory_stats().cached, 0);
  std::vector<char*> blocks;
  for (int i = 0; i < 4; ++i) {
    blocks.push_back(static_cast<char*>(allocate_bytes(2 * kMiB, kCpu)));
    std::fill_n(blocks.back(), 2 * kMiB, static_cast<char>(i));
  }
  for (int i = 0; i < 4; ++i) EXPECT_EQ(blocks[i][2 * kMiB - 1], i);
  const MemoryStats full = memory_stats();
  for (int i : {2, 0, 3, 1}) deallocate_bytes(blocks[i], 2 * kMiB, kCpu);
  EXPECT_EQ(memory_stats().in_use, full.in_use - 8 * kMiB);
  EXPECT_EQ(memory_stats().cached, full.cached + 8 * kMiB);
  // Of any sizes: what four blocks left makes one, and one makes three.
  deallocate_bytes(allocate_bytes(8 * kMiB, kCpu), 8 * kMiB, kCpu);
  std::vector<void*> parts;
  for (int i = 0; i < 3; ++i) parts.push_back(allocate_bytes(2 * kMiB + 100, kCpu));
  for (void* part : parts) deallocate_bytes(part, 2 * kMiB + 100, kCpu);
  EXPECT_EQ(memory_stats().system_allocations, full.system_allocations);
  EXPECT_EQ(memory_stats().cached, full.cached + 8 * kMiB);
  release_cached_memory();
  EXPECT_EQ(memory_stats().cached, 0);
  auto* again = static_cast<char*>(allocate_bytes(8 * kMiB, kCpu));
  EXPECT_EQ(again[8 * kMiB - 1], 0);  // given back in between
  deallocate_bytes(again, 8 * kMiB, kCpu);
}

TEST(Allocator, RefusesMoreThanThereIsBeforeTouchingIt) {
  test::expect_error<MemoryError>([] { Tensor::empty({int64_t{100} << 30}, {.dtype = DType::F32}); },
                                  {"memory", "available", "hint"});
}

TEST(Allocator, InjectedFailureIsTypedAndLeaksNothing) {
  const int64_t in_use = memory_stats().in_use;
  fail_allocation_for_test(1);
  EXPECT_THROW(Tensor::empty({10}), MemoryError);
  EXPECT_NO_THROW(Tensor::empty({10}));
  EXPECT_EQ(memory_stats().in_use, in_use);
}

TEST(Storage, ArenaRangesKeepTheirVersionAndFollowAMove) {
  Tensor x = tensor({1, 2, 3});
  const uint64_t version = x.version();
  auto arena = Storage::allocate(1024);
  x.storage().rehome(arena, 64);
  EXPECT_EQ(x.raw_data(), static_cast<char*>(arena->data()) + 64);
  EXPECT_EQ(x.to_vector(), (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(x.version(), version);
  test::expect_error<ShapeError>([&] { Storage::inside(arena, 1020, 8); }, {"outside"});
}

TEST(Derived, IsRemadeOnlyWhenTheStorageChanged) {
  Tensor x = tensor({1, 2, 3});
  int made = 0;
  const auto get = [&](int64_t key) {
    return *Derived<double>::of(x.storage(), key, [&] {
      ++made;
      return x.to_vector()[0] * static_cast<double>(key);
    });
  };
  EXPECT_EQ(get(2), 2);
  EXPECT_EQ(get(2), 2);
  EXPECT_EQ(get(5), 5);
  EXPECT_EQ(made, 2);
  x.fill(10);
  EXPECT_EQ(get(2), 20);
  EXPECT_EQ(get(5), 50);
  EXPECT_EQ(made, 4);
}

}  // namespace
}  // namespace tern
