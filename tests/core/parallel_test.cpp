#include "tern/core/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/support/tensors.h"

namespace tern {
namespace {

TEST(Parallel, CoversEveryIndexOnceForAnyThreadCount) {
  test::for_each_thread_count([](int) {
    for (const int64_t n : {0, 1, 7, 64, 1000}) {
      for (const int64_t grain : {1, 3, 64, 5000}) {
        std::vector<std::atomic<int>> hits(static_cast<size_t>(n));
        parallel_for(n, grain, [&](int64_t begin, int64_t end) {
          EXPECT_EQ(begin % grain, 0);
          for (int64_t i = begin; i < end; ++i) hits[static_cast<size_t>(i)]++;
        });
        for (const auto& hit : hits) ASSERT_EQ(hit.load(), 1);
      }
    }
  });
}

TEST(Parallel, NestedCallsAndCallsFromManyThreadsFinish) {
  test::for_each_thread_count([](int) {
    std::atomic<int64_t> total{0};
    const auto nested = [&] {
      parallel_for(8, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          parallel_for(10, 1, [&](int64_t b, int64_t e) { total += e - b; });
      });
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back(nested);
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(total.load(), 4 * 80);
  });
}

TEST(Parallel, ACallerFinishesAloneWhileTheOthersAreBusy) {
  test::for_each_thread_count([](int threads) {
    std::atomic<bool> release{false};
    std::atomic<int> inside{0};
    std::thread blocking([&] {
      parallel_for(threads, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          ++inside;
          while (!release) std::this_thread::yield();
        }
      });
    });
    while (inside < 1) std::this_thread::yield();
    std::atomic<int64_t> covered{0};
    for (int i = 0; i < 20; ++i)
      parallel_for(100, 1, [&](int64_t begin, int64_t end) { covered += end - begin; });
    EXPECT_EQ(covered.load(), 2000);
    release = true;
    blocking.join();
    EXPECT_EQ(inside.load(), threads);
  });
}

TEST(Parallel, TheFirstExceptionReachesTheCaller) {
  test::for_each_thread_count([](int) {
    EXPECT_THROW(parallel_for(100, 1,
                              [](int64_t begin, int64_t) {
                                if (begin >= 0) throw std::runtime_error("body");
                              }),
                 std::runtime_error);
    int64_t after = 0;
    parallel_for(1, 1, [&](int64_t, int64_t end) { after = end; });
    EXPECT_EQ(after, 1);
  });
}

TEST(Parallel, RefusesAnImpossibleNumberOfThreads) {
  test::expect_error<UsageError>([] { set_num_threads(0); }, {"threads", "0"});
  test::expect_error<UsageError>([] { set_num_threads(5000); }, {"threads", "5000"});
}

}  // namespace
}  // namespace tern
