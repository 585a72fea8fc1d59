#include "tern/core/small_blocks.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "tern/core/autograd.h"
#include "tern/ops/creation.h"
#include "tern/ops/pointwise.h"

namespace tern {
namespace {

TEST(SmallBlocks, EverySizeIsAlignedAndNobodyElses) {
  std::vector<std::pair<unsigned char*, size_t>> blocks;
  for (size_t bytes = 0; bytes <= kLargestSmallBlock + 200; bytes += 37)
    for (int copy = 0; copy < 3; ++copy) {
      auto* block = static_cast<unsigned char*>(allocate_small(bytes));
      ASSERT_EQ(reinterpret_cast<uintptr_t>(block) % kSmallBlock, 0u) << bytes;
      std::memset(block, static_cast<int>(blocks.size() % 251), bytes);
      blocks.emplace_back(block, bytes);
    }
  for (size_t i = 0; i < blocks.size(); ++i)
    for (size_t b = 0; b < blocks[i].second; ++b) ASSERT_EQ(blocks[i].first[b], i % 251) << i;
  for (const auto& [block, bytes] : blocks) deallocate_small(block, bytes);
  deallocate_small(nullptr, 8);
}

TEST(SmallBlocks, AFreedBlockIsHandedOutAgain) {
  std::set<void*> first, second;
  for (int i = 0; i < 100; ++i) first.insert(allocate_small(200));
  const int64_t slabs = small_slabs();
  for (void* block : first) deallocate_small(block, 200);
  for (int i = 0; i < 100; ++i) second.insert(allocate_small(256));  // the same class
  EXPECT_EQ(second.size(), 100u);
  EXPECT_EQ(small_slabs(), slabs);
  for (void* block : second) deallocate_small(block, 256);
}

// One thread makes what another destroys, far more than both may keep.
TEST(SmallBlocks, ThreadsThatOnlyMakeOrOnlyDestroyReuseEachOthersBlocks) {
  const auto round = [] {
    std::vector<void*> made(2000);
    std::thread maker([&] {
      for (void*& block : made) block = allocate_small(1024);
    });
    maker.join();
    std::thread destroyer([&] {
      for (void* block : made) deallocate_small(block, 1024);
    });
    destroyer.join();
  };
  round();
  const int64_t slabs = small_slabs();
  for (int i = 0; i < 3; ++i) round();
  EXPECT_EQ(small_slabs(), slabs);
}

TEST(SmallBlocks, ThreadsRecordAndDropGraphsAtOnce) {
  std::vector<std::thread> threads;
  std::vector<double> sums(4);
  for (size_t t = 0; t < sums.size(); ++t)
    threads.emplace_back([&sums, t] {
      for (int round = 0; round < 5; ++round) {
        Tensor x = full({8}, static_cast<double>(t));
        x.set_requires_grad();
        Tensor y = x;
        for (int i = 0; i < 300; ++i) y = add(y, 1.0);
        y.backward(ones({8}));
        sums[t] = x.grad().to_vector()[0] + y.to_vector()[7];
      }
    });
  for (auto& thread : threads) thread.join();
  for (size_t t = 0; t < sums.size(); ++t) EXPECT_EQ(sums[t], 301 + static_cast<double>(t));
}

// A node that keeps its own output would keep itself alive.
TEST(SmallBlocks, DroppedGraphsLeaveNothingBehind) {
  const auto record = [] {
    Tensor x = ones({64});
    x.set_requires_grad();
    Tensor y = x;
    for (int i = 0; i < 600; ++i) y = i % 3 == 0 ? mul(y, x) : i % 3 == 1 ? sigmoid(y) : exp(neg(y));
  };
  record();
  const int64_t slabs = small_slabs();
  for (int i = 0; i < 5; ++i) record();
  EXPECT_EQ(small_slabs(), slabs);
}

}  // namespace
}  // namespace tern
