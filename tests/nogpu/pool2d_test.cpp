// Pools on the device against the naive loops.

#include "tern/ops/pool2d.h"

#include <limits>

#include "tern/ops/shape_ops.h"
#include "tern/tests/nogpu/parity.h"

namespace nogpu {
namespace {

using namespace tern;
using namespace tern::test;

struct Case {
  Shape x;
  int64_t kernel, stride, padding;
};

// Windows that touch, overlap, leave gaps and hang over the border; groups of 4 (f32) and 8 (bf16) channels,
// one less and one more.
const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {{1, 1, 1, 1}, 1, 1, 0},    {{2, 4, 4, 8}, 2, 2, 0},  {{1, 5, 7, 3}, 2, 2, 1},
      {{2, 7, 5, 4}, 3, 2, 1},    {{1, 6, 6, 9}, 3, 1, 1},  {{1, 9, 9, 7}, 2, 3, 0},
      {{3, 3, 3, 33}, 3, 1, 0},   {{0, 4, 4, 8}, 2, 2, 0},  {{1, 12, 5, 16}, 5, 2, 2},
      {{2, 16, 16, 1}, 16, 1, 8}, {{1, 8, 8, 64}, 3, 2, 1}, {{5, 5, 6, 12}, 4, 3, 2},
      {{1, 20, 20, 2}, 2, 2, 0},  {{2, 6, 7, 40}, 2, 1, 1}};
  return all;
}

TEST(NoGpuPool2d, MaxOfEverySize) {
  for (const Case& c : cases())
    for (const DType dtype : {DType::F32, DType::BF16}) {
      SCOPED_TRACE(concat_text(dtype, " ", c.x, " kernel ", c.kernel));
      const MaxPool2dOptions options{c.kernel, c.stride, c.padding};
      expect_parity([&](const Tensors& t) { return max_pool2d(t[0], options); }, {random_tensor(c.x, dtype)},
                    {.tolerance = 0});
      // Many equal values: the first of the window gets the gradient.
      expect_parity([&](const Tensors& t) { return max_pool2d(t[0], options); },
                    {random_ints(c.x, dtype, 2, 0, 2)}, {.tolerance = 0});
    }
}

TEST(NoGpuPool2d, AverageOfEverySize) {
  for (const Case& c : cases())
    for (const DType dtype : {DType::F32, DType::BF16})
      for (const bool count_pad : {true, false}) {
        SCOPED_TRACE(concat_text(dtype, " ", c.x, " kernel ", c.kernel));
        const AvgPool2dOptions options{c.kernel, c.stride, c.padding, count_pad};
        expect_parity([&](const Tensors& t) { return avg_pool2d(t[0], options); },
                      {random_tensor(c.x, dtype)});
      }
}

TEST(NoGpuPool2d, GlobalAverageOfEverySize) {
  for (const DType dtype : {DType::F32, DType::BF16})
    for (const Shape& x : {Shape{1, 1, 1, 1}, Shape{2, 3, 3, 4}, Shape{1, 4, 4, 8}, Shape{3, 5, 7, 9},
                           Shape{2, 1, 31, 3}, Shape{1, 4, 8, 33}, Shape{2, 11, 3, 40}, Shape{0, 2, 2, 8},
                           Shape{1, 7, 7, 64}, Shape{5, 2, 2, 65}, Shape{1, 33, 1, 1}, Shape{2, 8, 8, 16}}) {
      SCOPED_TRACE(concat_text(dtype, " ", x));
      expect_parity([](const Tensors& t) { return global_avg_pool2d(t[0]); }, {random_tensor(x, dtype)});
    }
}

TEST(NoGpuPool2d, NanWinsEveryMaximum) {
  Tensor x = random_tensor({1, 6, 6, 4});
  float* values = x.mutable_data<float>();
  for (const int64_t i : {0, 17, 70, 143}) values[i] = std::numeric_limits<float>::quiet_NaN();
  values[30] = -std::numeric_limits<float>::infinity();
  const Tensor y = max_pool2d(x, {3, 1, 1});
  for_each_thread_order([&] {
    const Tensor on_device = max_pool2d(x.to(kCuda), {3, 1, 1}).to(kCpu);
    expect_equal_bits(on_device, y);
  });
}

TEST(NoGpuPool2d, ViewsAtOddAddresses) {
  for (const DType dtype : {DType::F32, DType::BF16}) {
    const Tensor x = random_tensor({3, 3, 5, 4}, dtype);  // one photo more is 240 or 120 bytes further on
    expect_parity(
        [](const Tensors& t) {
          return max_pool2d(slice(t[0], 1, 3), {2, 1, 1});
        },
        {x}, {.tolerance = 0});
    expect_parity([](const Tensors& t) { return global_avg_pool2d(slice(t[0], 1, 2)); }, {x});
  }
}

TEST(NoGpuPool2d, F64IsRefused) {
  const Tensor x = random_tensor({1, 4, 4, 2}, DType::F64).to(kCuda);
  expect_error<DTypeError>([&] { max_pool2d(x); }, {"max_pool2d", "f64", "f32 and bf16", "hint"});
  expect_error<DTypeError>([&] { avg_pool2d(x); }, {"avg_pool2d", "f64"});
  expect_error<DTypeError>([&] { global_avg_pool2d(x); }, {"global_avg_pool2d", "f64"});
}

}  // namespace
}  // namespace nogpu
