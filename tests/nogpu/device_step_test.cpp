// What a loop of equal steps is made of (core/device_step.h): batches that arrive, work that is recorded and
// replayed, numbers that are read later.

#include "tern/core/device_step.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tern/core/error.h"
#include "tern/cuda/runtime.h"
#include "tern/ops/batch_triplet_loss.h"
#include "tern/ops/dropout.h"
#include "tern/ops/pointwise.h"
#include "tern/ops/reduce.h"
#include "tern/ops/step_guard.h"
#include "tern/tests/nogpu/cudart.h"
#include "tern/tests/nogpu/library_test.h"
#include "tern/tests/nogpu/parity.h"

namespace tern::test {
namespace {

class NoGpuDeviceStep : public nogpu::LibraryTest {};

Tensors batch(uint64_t seed) {
  return {random_tensor({5, 7}, DType::F32, seed), random_ints({9}, DType::I64, seed, 0, 100),
          random_ints({33}, DType::U8, seed, 0, 255)};
}

TEST_F(NoGpuDeviceStep, BatchesArriveInTheOrderOfTheWork) {
  const auto inbox = make_inbox(kCuda, batch(0));
  std::vector<Tensors> seen;
  const void* place = inbox->tensors()[0].raw_data();
  for (uint64_t i = 1; i <= 6; ++i) {
    Tensors sent = batch(i);
    inbox->receive(sent);
    sent[0].fill(0);  // may be changed at once
    seen.emplace_back();
    for (const Tensor& t : inbox->tensors()) seen.back().push_back(t.clone());
    EXPECT_EQ(inbox->tensors()[0].raw_data(), place);
  }
  for (uint64_t i = 1; i <= 6; ++i)
    for (size_t k = 0; k < 3; ++k) expect_equal_bits(seen[i - 1][k].to(kCpu), batch(i)[k]);
}

TEST_F(NoGpuDeviceStep, ABatchDoesNotWaitForTheWorkBefore) {
  const auto inbox = make_inbox(kCuda, batch(0));
  const Tensor x = random_tensor({100}).to(kCuda);
  cu::runtime(kCuda).synchronize();
  const Tensor y = x + x;
  const int64_t queued = nogpu::queued_operations();
  inbox->receive(batch(1));
  inbox->receive(batch(2));
  EXPECT_GT(nogpu::queued_operations(), queued);  // the sum has not run
  test::expect_error<ShapeError>([&] { inbox->receive({batch(1)[1], batch(1)[1], batch(1)[2]}); }, {"inbox"});
}

TEST_F(NoGpuDeviceStep, NumbersAreReadLater) {
  const auto numbers = make_readback(kCuda);
  Tensor x = random_tensor({40}, DType::F32, 3).to(kCuda);
  const Tensor wide = random_tensor({3}, DType::F64, 4);
  for (int round = 0; round < 2; ++round) {
    const std::vector<double> expected = x.to_vector();
    const int64_t queued = nogpu::queued_operations();
    numbers->start({x, wide.to(kCuda)});
    x.fill(round);  // behind the copy
    EXPECT_GT(nogpu::queued_operations(), queued);
    const Tensors got = numbers->finish();
    EXPECT_EQ(got[0].to_vector(), expected);
    expect_equal_bits(got[1], wide);
  }
}

// What a recording uses is nobody else's, whatever is allocated and written between replays.
TEST_F(NoGpuDeviceStep, ARecordingKeepsItsMemory) {
  const auto inbox = make_inbox(kCuda, {Tensor::empty({1000})});
  Tensor y;
  const auto work = [](const Tensor& x) {
    const Tensor a = x * x, b = a + x;
    return sqrt(b * b + a);
  };
  const auto recording = record_work(kCuda, [&] { y = work(inbox->tensors()[0]); });
  for (uint64_t i = 1; i <= 4; ++i) {
    const Tensor x = random_tensor({1000}, DType::F32, i);
    Tensors others;
    for (int k = 0; k < 8; ++k) {
      others.push_back(Tensor::empty({1000}, {DType::F32, kCuda}));
      others.back().fill(k);
    }
    inbox->receive({x});
    recording->replay(0);
    expect_equal_bits(y.to(kCpu), work(x.to(kCuda)).to(kCpu));
    for (int k = 0; k < 8; ++k)
      EXPECT_EQ(others[static_cast<size_t>(k)].to_vector(), std::vector<double>(1000, k));
  }
}

// What it let go while it was recorded is written by each replay: a general block may not lie there.
TEST_F(NoGpuDeviceStep, MemoryLetGoWhileRecordedStaysTheRecordings) {
  const Tensor x = random_tensor({1000}).to(kCuda);
  std::vector<const void*> let_go;
  const auto recording = record_work(kCuda, [&] {
    for (int i = 0; i < 4; ++i) let_go.push_back((x * x).raw_data());
  });
  Tensors others;
  for (int i = 0; i < 4000; ++i) {  // more than the allocator could have kept
    others.push_back(Tensor::empty({1000}, {DType::F32, kCuda}));
    for (const void* place : let_go) ASSERT_NE(others.back().raw_data(), place) << i;
  }
}

TEST_F(NoGpuDeviceStep, ReplaysAskTheDriverForNothingAndMemoryComesBack) {
  cu::CachingAllocator& memory = cu::runtime(kCuda).allocator();
  const int64_t before = memory.stats().in_use;
  {
    Tensor y;
    const Tensor x = random_tensor({3000}).to(kCuda);
    const auto recording = record_work(kCuda, [&] { y = exp(x * x); });
    const int64_t asked = nogpu::cuda_mallocs();
    for (int i = 0; i < 3; ++i) recording->replay(0);
    EXPECT_EQ(nogpu::cuda_mallocs(), asked);
    cu::runtime(kCuda).synchronize();
  }
  EXPECT_EQ(memory.stats().in_use, before);
  memory.release_cached();
  EXPECT_EQ(memory.stats().cached, 0);
}

// The device, its memory and its streams are as before.
TEST_F(NoGpuDeviceStep, WhatWaitsOrSendsCannotBeRecorded) {
  const Tensor x = random_tensor({10}).to(kCuda);
  const int64_t in_use = cu::runtime(kCuda).allocator().stats().in_use;
  expect_error<DeviceError>([&] { record_work(kCuda, [&] { (x + x).to_vector(); }); },
                            {"the host waits", "recorded"});
  expect_error<DeviceError>([&] { record_work(kCuda, [&] { random_tensor({4}).to(kCuda); }); },
                            {"an upload", "recorded"});
  expect_error<DeviceError>([&] { record_work(kCuda, [] { cu::runtime(kCuda).synchronize(); }); },
                            {"cudaErrorStreamCaptureUnsupported"});
  expect_error<UsageError>([] { record_work(kCpu, [] {}); }, {"cpu"});
  EXPECT_EQ(cu::runtime(kCuda).allocator().stats().in_use, in_use);
  expect_equal_bits((x + x).to(kCpu), (x.to(kCpu) + x.to(kCpu)));
  nogpu::take_capture_mistake();
}

TEST_F(NoGpuDeviceStep, RandomDrawsFollowTheStep) {
  const Tensor x = random_tensor({500}).to(kCuda);
  const DropoutOptions options{.p = 0.4, .seed = 9, .step = 70, .per_step = 10};
  Tensor y;
  const auto recording = record_work(kCuda, [&] { y = dropout(x, options); });
  for (const int64_t later : {0, 3, 1, 100}) {
    recording->replay(later);
    DropoutOptions now = options;
    now.step += static_cast<uint64_t>(later) * 10;
    expect_equal_bits(y.to(kCpu), dropout(x, now).to(kCpu));
  }
}

TEST_F(NoGpuDeviceStep, RandomTripletsFollowTheStep) {
  const Tensor e = random_tensor({24, 8}).to(kCuda),
               labels = random_ints({24}, DType::I64, 5, 0, 4).to(kCuda);
  for (const Mining mining : {Mining::RandomViolator, Mining::DistanceWeighted}) {
    BatchTripletOptions options{.mining = mining, .margin = 0.5, .seed = 3, .step = 4};
    Tensor loss;
    const auto recording = record_work(kCuda, [&] { loss = batch_triplet_loss(e, labels, options).loss; });
    std::vector<double> losses;
    for (const int64_t later : {0, 1, 7}) {
      recording->replay(later);
      BatchTripletOptions now = options;
      now.step += static_cast<uint64_t>(later);
      losses.push_back(loss.item());
      EXPECT_EQ(losses.back(), batch_triplet_loss(e, labels, now).loss.item());
    }
    EXPECT_NE(losses[0], losses[1]);
  }
}

// ---- ops/step_guard.h, on both devices ----

TEST_F(NoGpuDeviceStep, StepsJudgeThemselvesAlikeOnBothDevices) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  struct Case {
    float loss;
    double norm, halted;
    bool halts;
  };
  for (const Device device : {kCpu, kCuda}) {
    for (const Case& c : {Case{1, 2, 0, false}, Case{kInf, 2, 0, true}, Case{1, kNaN, 0, true},
                          Case{1, 2, 1, true}, Case{-kInf, kNaN, 1, true}}) {
      const double norms[] = {c.norm, 0.5};
      const Tensor loss = Tensor::from_data(std::span(&c.loss, 1), {}).to(device),
                   norm = Tensor::from_data(std::span<const double>(norms), {2}).to(device),
                   halted = Tensor::from_data(std::span(&c.halted, 1), {1}).to(device);
      judge_step(loss, norm, halted);
      EXPECT_EQ(halted.item(), c.halts ? 1 : 0);
      EXPECT_EQ(std::isnan(norm.to_vector()[0]), c.halts);
      EXPECT_EQ(norm.to_vector()[1], 0.5);
      for (const int64_t bytes : {0, 1, 64, 8192, 8200}) {
        const Tensor state = random_ints({bytes}, DType::U8, 6, 0, 255).to(device);
        Tensor kept = Tensor::empty({bytes}, {DType::U8, device});
        kept.fill(7);
        keep_bytes(state, halted, kept);
        const std::vector<double> expected =
            c.halts ? std::vector<double>(static_cast<size_t>(bytes), 7) : state.to_vector();
        EXPECT_EQ(kept.to_vector(), expected);
      }
    }
  }
}

}  // namespace
}  // namespace tern::test
