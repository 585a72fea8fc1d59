#include "tern/core/cuda_options.h"

#include <gtest/gtest.h>

namespace tern {
namespace {

TEST(CudaOptions, EachIsKept) {
  const CudaOptions before = cuda_options();
  EXPECT_FALSE(before.tf32);
  EXPECT_FALSE(before.deterministic);
  EXPECT_TRUE(before.autotune);
  for (int bits = 0; bits < 8; ++bits) {
    const bool tf32 = bits & 1, deterministic = bits & 2, autotune = bits & 4;
    set_cuda_options({tf32, deterministic, autotune});
    EXPECT_EQ(cuda_options().tf32, tf32);
    EXPECT_EQ(cuda_options().deterministic, deterministic);
    EXPECT_EQ(cuda_options().autotune, autotune);
  }
  set_cuda_options(before);
}

}  // namespace
}  // namespace tern
