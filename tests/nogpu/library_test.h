#pragma once
// Tests of what runs through cuDNN and cuBLASLt: the stand-ins are in place, and nothing is tuned.

#include <gtest/gtest.h>

#include "tern/core/cuda_options.h"
#include "tern/tests/nogpu/libraries.h"
#include "tern/tests/nogpu/parity.h"

namespace nogpu {

class LibraryTest : public testing::Test {
 protected:
  void SetUp() override {
    use_library_stand_ins();
    tern::set_cuda_options({.autotune = false});
  }
  void TearDown() override { tern::set_cuda_options({}); }
};

class CudnnTest : public LibraryTest {
 protected:
  void SetUp() override {
    LibraryTest::SetUp();
    if (!cudnn_missing().empty()) GTEST_SKIP() << cudnn_missing();
  }
};

}  // namespace nogpu
