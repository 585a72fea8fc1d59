// Products through cuBLASLt's descriptors against the naive loops.

#include "tern/ops/matmul.h"

#include <cmath>

#include "tern/core/autograd.h"
#include "tern/cuda/gemm.h"
#include "tern/cuda/runtime.h"
#include "tern/ops/linear.h"
#include "tern/ops/shape_ops.h"
#include "tern/tests/nogpu/cudart.h"
#include "tern/tests/nogpu/library_test.h"

namespace nogpu {
namespace {

using namespace tern;
using namespace tern::test;

struct Sizes {
  int64_t m, n, k;
};
constexpr Sizes kProducts[] = {{1, 1, 1},   {1, 7, 3},    {7, 1, 3},    {5, 4, 0},   {0, 4, 3},
                               {4, 0, 3},   {3, 3, 3},    {16, 16, 16}, {17, 33, 5}, {33, 17, 64},
                               {64, 3, 31}, {2, 65, 129}, {40, 40, 8}};

class NoGpuMatmul : public LibraryTest {};

Shape stored(int64_t rows, int64_t columns, bool transposed) {
  return transposed ? Shape{columns, rows} : Shape{rows, columns};
}

TEST_F(NoGpuMatmul, EveryTranspositionOfEverySize) {
  for (const Sizes& s : kProducts)
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) {
        SCOPED_TRACE(testing::Message() << s.m << "," << s.n << "," << s.k << " " << ta << tb);
        expect_parity(
            [&](const Tensors& t) { return matmul(t[0], t[1], {.transpose_a = ta, .transpose_b = tb}); },
            {random_tensor(stored(s.m, s.k, ta), DType::F32, 1),
             random_tensor(stored(s.k, s.n, tb), DType::F32, 2)});
      }
}

TEST_F(NoGpuMatmul, IntegersAreExact) {
  for (const Sizes& s : kProducts)
    expect_parity(
        [&](const Tensors& t) { return matmul(t[0], t[1]); },
        {random_ints({s.m, s.k}, DType::F32, 1, -4, 4), random_ints({s.k, s.n}, DType::F32, 2, -4, 4)},
        {.tolerance = 0});
}

TEST_F(NoGpuMatmul, LinearLayersWithAndWithoutBias) {
  for (const Sizes& s : kProducts) {
    SCOPED_TRACE(testing::Message() << s.m << "," << s.n << "," << s.k);
    const Tensor x = random_tensor({s.m, s.k}), w = random_tensor({s.n, s.k}, DType::F32, 2);
    expect_parity([](const Tensors& t) { return linear(t[0], t[1]); }, {x, w});
    if (s.n > 0)
      expect_parity([](const Tensors& t) { return linear(t[0], t[1], t[2]); },
                    {x, w, random_tensor({s.n}, DType::F32, 3)}, {.gradients = false});
  }
}

// A bias that the library could not read in 16-byte pieces, and factors that are less aligned than tensors
// are.
TEST_F(NoGpuMatmul, ViewsAtOddAddresses) {
  expect_parity(
      [](const Tensors& t) { return linear(slice(t[0], 1, 4), slice(t[1], 1, 6), slice(t[2], 1, 6)); },
      {random_tensor({4, 7}), random_tensor({6, 7}, DType::F32, 2), random_tensor({6}, DType::F32, 3)},
      {.gradients = false});
}

TEST_F(NoGpuMatmul, F64IsRefused) {
  const Tensor a = random_tensor({2, 3}, DType::F64).to(kCuda),
               b = random_tensor({3, 2}, DType::F64).to(kCuda);
  expect_error<DTypeError>([&] { matmul(a, b); }, {"matmul", "f64", "f32 and bf16", "hint"});
}

TEST_F(NoGpuMatmul, EachProblemIsPlannedOnce) {
  cu::reset_runtimes_for_test();
  const Tensor a = random_tensor({8, 16}).to(kCuda), b = random_tensor({16, 4}).to(kCuda);
  for (int i = 0; i < 3; ++i) matmul(a, b);
  cu::GemmPlans& plans = cu::runtime(kCuda).gemm_plans();
  EXPECT_EQ(plans.size(), 1u);
  matmul(b, a, {.transpose_a = true, .transpose_b = true});
  EXPECT_EQ(plans.size(), 2u);
  const int64_t mallocs = cuda_mallocs();
  for (int i = 0; i < 3; ++i) matmul(a, b);
  cu::runtime(kCuda).synchronize();
  EXPECT_EQ(cuda_mallocs(), mallocs);
}

// ---- the arithmetic that was asked for ----

// 1 + 2^-12 is lost where factors are rounded to TF32's 10 bits.
TEST_F(NoGpuMatmul, Tf32OnlyWhereAsked) {
  const Tensor a = Tensor::from_data(std::vector<float>(8, 1.0f + 0x1p-12f), {1, 8}).to(kCuda);
  const Tensor b = Tensor::from_data(std::vector<float>(8, 1.0f), {8, 1}).to(kCuda);
  EXPECT_EQ(matmul(a, b).to(kCpu).item(), 8 + 8 * 0x1p-12);
  set_cuda_options({.tf32 = true, .autotune = false});
  EXPECT_EQ(matmul(a, b).to(kCpu).item(), 8.0);
  // A Gram matrix is f32 whatever the layers are asked for.
  const int64_t rounded = library_counts().tf32_matmuls;
  const Tensor gram = Tensor::empty({1, 1}, {DType::F32, kCuda});
  cu::gemm(kCuda, {.m = 1, .n = 1, .k = 8, .transpose_b = true, .alpha = -2}, a.raw_data(), a.raw_data(),
           nullptr, gram.raw_data());
  const double one = 1.0f + 0x1p-12f;
  EXPECT_EQ(gram.to(kCpu).item(), static_cast<float>(-16 * one * one));
  EXPECT_EQ(library_counts().tf32_matmuls, rounded);
}

TEST_F(NoGpuMatmul, Bf16FactorsAndResults) {
  const int64_t m = 9, n = 5, k = 24;
  const Tensor a = random_tensor({m, k}, DType::BF16, 1), b = random_tensor({n, k}, DType::BF16, 2),
               bias = random_tensor({n}, DType::F32, 3);
  const Tensor expected = linear(a.to(DType::F32), b.to(DType::F32), bias);
  const Tensor on_a = a.to(kCuda), on_b = b.to(kCuda), on_bias = bias.to(kCuda);
  for (const DType result : {DType::F32, DType::BF16}) {
    const Tensor y = Tensor::empty({m, n}, {result, kCuda});
    cu::gemm(kCuda, {.m = m, .n = n, .k = k, .transpose_b = true, .factors = DType::BF16, .result = result},
             on_a.raw_data(), on_b.raw_data(), static_cast<const float*>(on_bias.raw_data()), y.raw_data());
    expect_close(y.to(kCpu), expected, result == DType::F32 ? 1e-6 : 1.0 / 64);
  }
}

}  // namespace
}  // namespace nogpu
