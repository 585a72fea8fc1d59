// The stand-in runtime's stream capture: graphs that replay, and mistakes planted to see each reported.

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "tern/core/error.h"
#include "tern/cuda/runtime.h"
#include "tern/tests/nogpu/cudart.h"
#include "tern/tests/nogpu/emulator.h"
#include "tern/tests/nogpu/faults.h"

namespace nogpu {
namespace {

constexpr tern::Device kCuda{tern::DeviceType::Cuda, 0};
constexpr size_t kBytes = 64 * sizeof(int);

class NoGpuCapture : public testing::Test {
 protected:
  void SetUp() override {
    p_ = static_cast<int*>(gpu_.allocator().allocate(kBytes));
    q_ = static_cast<int*>(gpu_.allocator().allocate(kBytes));
    write(p_, 1), write(q_, 1);
    take_capture_mistake();
  }
  void TearDown() override {
    gpu_.allocator().deallocate(p_), gpu_.allocator().deallocate(q_);
    take_fault();
    tern::cu::reset_runtimes_for_test();
    EXPECT_EQ(live_handles(), 0);
  }

  void write(int* to, int value) {
    const std::vector<int> values(64, value);
    gpu_.staging().upload(to, values.data(), kBytes);
    gpu_.synchronize();
  }
  std::vector<int> read(const int* from) {
    std::vector<int> values(64);
    gpu_.staging().download(values.data(), from, kBytes);
    return values;
  }
  void run_kernel() { run_fault(Planted::None, p_, p_, compute_); }  // p[i] = (i + 33) % 64
  static bool kernel_ran(const std::vector<int>& values) { return values[1] == 34 && values[63] == 32; }

  void begin() { ASSERT_EQ(cudaStreamBeginCapture(compute_, cudaStreamCaptureModeThreadLocal), cudaSuccess); }
  // Ends the capture, which must say this; launches what it gave so many times.
  void end(cudaError_t expected, int launches = 0) {
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(compute_, &graph), expected);
    if (!graph) return;
    cudaGraphExec_t executable = nullptr;
    EXPECT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
    for (int i = 0; i < launches; ++i) EXPECT_EQ(cudaGraphLaunch(executable, compute_), cudaSuccess);
    EXPECT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  }
  // mistake happens while a stream is captured: the capture is lost, and the text says why.
  void expect_refused(const std::function<void()>& mistake, const std::string& text,
                      cudaError_t at_end = cudaErrorStreamCaptureInvalidated) {
    begin();
    run_kernel();
    mistake();
    end(at_end);
    EXPECT_EQ(take_capture_mistake(), text);
    cudaGetLastError();
    run_kernel();  // the stream is of use again
    EXPECT_TRUE(kernel_ran(read(p_)));
  }

  tern::cu::Runtime& gpu_ = tern::cu::runtime(kCuda);
  cudaStream_t compute_ = gpu_.compute_stream(), copy_ = gpu_.copy_stream();
  int *p_ = nullptr, *q_ = nullptr;
};

TEST_F(NoGpuCapture, WhatIsCapturedRunsAtEachLaunchAndNotBefore) {
  begin();
  run_kernel();
  cudaMemcpyAsync(q_, p_, kBytes, cudaMemcpyDeviceToDevice, compute_);
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(compute_, &graph), cudaSuccess);
  EXPECT_EQ(read(p_), std::vector<int>(64, 1));
  cudaGraphExec_t executable = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
  cudaGraphDestroy(graph);
  for (int launch = 0; launch < 3; ++launch) {
    write(p_, launch), write(q_, launch);
    EXPECT_EQ(cudaGraphLaunch(executable, compute_), cudaSuccess);
    EXPECT_GT(queued_operations(), 0);
    EXPECT_TRUE(kernel_ran(read(q_)));
  }
  cudaGraphExecDestroy(executable);
}

TEST_F(NoGpuCapture, StreamsTiedByEventsAreOneGraph) {
  begin();
  run_kernel();
  tern::cu::EventHandle fork, join;
  fork.record(compute_);
  fork.wait_on(copy_);
  cudaMemcpyAsync(q_, p_, kBytes, cudaMemcpyDeviceToDevice, copy_);
  join.record(copy_);
  join.wait_on(compute_);
  end(cudaSuccess, 1);
  EXPECT_TRUE(kernel_ran(read(q_)));
}

TEST_F(NoGpuCapture, WaitingIsReported) {
  expect_refused([&] { EXPECT_EQ(cudaStreamSynchronize(compute_), cudaErrorStreamCaptureUnsupported); },
                 "the host waits for a captured stream");
  expect_refused([] { EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorStreamCaptureUnsupported); },
                 "cudaDeviceSynchronize while a stream is captured");
  tern::cu::EventHandle event;
  expect_refused(
      [&] {
        event.record(compute_);
        EXPECT_THROW(event.wait_on_host(), tern::DeviceError);
      },
      "the host waits for an event of a captured stream");
}

TEST_F(NoGpuCapture, AskingTheDriverForMemoryIsReportedUnlessTheThreadIsRelaxed) {
  void* data = nullptr;
  expect_refused([&] { EXPECT_EQ(cudaMalloc(&data, 512), cudaErrorStreamCaptureUnsupported); },
                 "cudaMalloc while a stream is captured");
  expect_refused([&] { EXPECT_EQ(cudaFree(p_), cudaErrorStreamCaptureUnsupported); },
                 "cudaFree while a stream is captured");
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  begin();
  cudaThreadExchangeStreamCaptureMode(&mode);
  EXPECT_EQ(cudaMalloc(&data, 512), cudaSuccess);
  cudaThreadExchangeStreamCaptureMode(&mode);
  end(cudaSuccess);
  cudaFree(data);
}

TEST_F(NoGpuCapture, StreamsThatAreNotTiedTogetherAreReported) {
  expect_refused(
      [&] {
        EXPECT_EQ(cudaMemcpyAsync(q_, p_, kBytes, cudaMemcpyDeviceToDevice, copy_), cudaErrorLaunchFailure);
      },
      "work on a stream that no event ties to the capture");
  tern::cu::EventHandle fork, outside;
  expect_refused(
      [&] {
        fork.record(compute_);
        fork.wait_on(copy_);
        cudaMemcpyAsync(q_, p_, kBytes, cudaMemcpyDeviceToDevice, copy_);
      },
      "the captured stream does not wait for another's work", cudaErrorStreamCaptureUnjoined);
  outside.record(copy_);
  expect_refused([&] { EXPECT_THROW(outside.wait_on(compute_), tern::DeviceError); },
                 "a captured stream waits for an event outside the capture");
}

}  // namespace
}  // namespace nogpu
