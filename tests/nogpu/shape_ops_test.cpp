// Casts, comparison, broadcasting and rearranging copies on the device: the bits of the CPU's.

#include "tern/ops/shape_ops.h"

#include <cmath>

#include "tern/ops/broadcast.h"
#include "tern/ops/compare.h"
#include "tern/ops/creation.h"
#include "tern/tests/nogpu/parity.h"

namespace tern::test {
namespace {

constexpr ParityOptions kExact{.tolerance = 0, .gradient_tolerance = 0};
constexpr DType kTypes[] = {DType::F32, DType::F64, DType::BF16, DType::I64,
                            DType::I32, DType::U8,  DType::Bool};

TEST(NoGpuCast, BetweenAllTypes) {
  const Tensor values = tensor({0, -0.0, 1, -1, 0.5, 1.5, 2.5, 255, 256, -300, 1e10, -1e10, 3e38, -3e38});
  for (const DType from : kTypes)
    for (const DType to : kTypes)
      expect_parity([&](const Tensors& x) { return x[0].to(to); }, {values.to(from)},
                    {.tolerance = 0, .gradients = false});
}

TEST(NoGpuCast, PrecisionOfEverySize) {
  for (const int64_t n : kSizes) {
    expect_parity([](const Tensors& x) { return x[0].to(DType::BF16); }, {random_tensor({n})}, kExact);
    expect_parity([](const Tensors& x) { return x[0].to(DType::F32); }, {random_tensor({n}, DType::BF16)},
                  kExact);
  }
}

TEST(NoGpuCast, OddAddresses) {
  for (const int64_t begin : {1, 2, 3, 5})
    expect_parity([&](const Tensors& x) { return slice(x[0], begin, 40).to(DType::BF16); },
                  {random_tensor({41})}, kExact);
}

TEST(NoGpuTensor, FillsEveryTypeAtEverySize) {
  for (const DType dtype : kTypes)
    for (const int64_t n : kSizes)
      expect_parity(
          [&](const Tensors& x) {
            const Tensor y = zeros({n + 1}, {dtype, x[0].device()});
            slice(y, n > 2 ? 3 : 0, n).fill(n > 2 ? 1 : 0);  // an odd address, and neighbours that must stay
            return y;
          },
          {zeros({1})}, {.tolerance = 0, .gradients = false});
}

TEST(NoGpuTensor, MakesCopiesAndMoves) {
  for_each_thread_order([] {
    const Tensor x = random_tensor({5, 7}), on_device = x.to(kCuda);
    expect_equal_bits(on_device.clone().to(kCpu), x);
    const Tensor y = Tensor::empty({5, 7}, {DType::F32, kCuda});
    Tensor(y).copy_from(x);
    expect_equal_bits(y.to(kCpu), x);
    Tensor back = zeros({5, 7});
    back.copy_from(y);
    expect_equal_bits(back, x);
    expect_equal_bits(arange(0, 9, 1, {DType::I64, kCuda}).to(kCpu), arange(0, 9));
    EXPECT_EQ(scalar(3, {DType::F32, kCuda}).item(), 3);
  });
}

TEST(NoGpuCompare, EveryComparisonOfEveryType) {
  for (const DType dtype : kTypes)
    for (int c = 0; c <= static_cast<int>(Comparison::Ge); ++c)
      expect_parity([&](const Tensors& x) { return compare(static_cast<Comparison>(c), x[0], x[1]); },
                    {random_ints({3, 1, 5}, dtype, 1, 0, 2), random_ints({4, 5}, dtype, 2, 0, 2)},
                    {.gradients = false});
}

TEST(NoGpuCompare, WhereAndItsGradient) {
  for (const int64_t n : kSizes)
    for (const DType dtype : {DType::F32, DType::BF16})
      expect_parity([](const Tensors& x) { return where(x[0], x[1], x[2]); },
                    {random_ints({n}, DType::Bool, 3, 0, 1), random_tensor({n}, dtype, 1),
                     random_tensor({n}, dtype, 2)},
                    kExact);
}

TEST(NoGpuBroadcast, StretchesAnyAxis) {
  const std::vector<std::pair<Shape, Shape>> cases = {
      {{1}, {7}},      {{}, {3, 5}}, {{5, 1}, {5, 9}}, {{1, 9}, {5, 9}}, {{2, 1, 3, 1}, {2, 4, 3, 5}},
      {{0, 1}, {0, 6}}};
  for (const DType dtype : kTypes)
    for (const auto& [from, to] : cases)
      expect_parity([&](const Tensors& x) { return broadcast_to(x[0], to); },
                    {random_ints(from, dtype, 4, 0, 9)}, {.tolerance = 0, .gradients = false});
}

TEST(NoGpuShapeOps, ConcatAndNarrow) {
  for (const DType dtype : {DType::F32, DType::BF16})
    for (const int axis : {0, 1, 2})
      for (const int64_t width : {1, 3, 4, 8}) {
        const Shape shape{3, 5, width};
        expect_parity(
            [&](const Tensors& x) {
              return concat({x[0], x[1]}, axis);
            },
            {random_tensor(shape, dtype, 1), random_tensor(shape, dtype, 2)}, kExact);
        if (shape[axis] < 2) continue;
        expect_parity([&](const Tensors& x) { return narrow(x[0], axis, 1, shape[axis] - 1); },
                      {random_tensor(shape, dtype)}, kExact);
      }
  expect_parity([](const Tensors& x) { return Outputs(split(x[0], 3)); }, {random_tensor({6, 4})}, kExact);
  expect_parity([](const Tensors& x) { return slice(x[0], 2, 2); }, {random_tensor({6, 4})}, kExact);
}

TEST(NoGpuShapeOps, PermutesAxes) {
  const std::vector<std::vector<int>> orders = {{0, 1, 2, 3}, {0, 3, 1, 2}, {3, 2, 1, 0}, {1, 0, 3, 2}};
  for (const auto& order : orders)
    for (const DType dtype : {DType::F32, DType::BF16})
      for (const Shape& shape : {Shape{2, 3, 4, 5}, Shape{1, 1, 1, 1}, Shape{3, 0, 2, 2}, Shape{4, 7, 9, 8}})
        expect_parity([&](const Tensors& x) { return permute(x[0], std::span<const int>(order)); },
                      {random_tensor(shape, dtype)}, kExact);
  expect_parity([](const Tensors& x) { return flatten(x[0]); }, {random_tensor({2, 3, 3, 4})}, kExact);
}

TEST(NoGpuShapeOps, GathersRowsAndAddsGradientsInOrder) {
  for (const DType dtype : {DType::F32, DType::BF16})
    for (const int64_t width : {1, 3, 8, 33})
      expect_parity([](const Tensors& x) { return gather_rows(x[0], x[1]); },
                    {random_tensor({6, width}, dtype), random_ints({25}, DType::I64, 5, 0, 5)},
                    {.tolerance = 0, .gradient_tolerance = dtype == DType::F32 ? 0 : 1e-2});
}

// The range is not checked by waiting for the index.
TEST(NoGpuShapeOps, RowsThatAreNotThereAreNaNAndHaveNoGradient) {
  for (const int64_t width : {1, 3, 4}) {
    Tensor x = random_tensor({6, width}).to(kCuda);
    x.set_requires_grad();
    const int64_t rows[] = {5, 6, -1, 0};
    const Tensor index = Tensor::from_data(std::span<const int64_t>(rows), {4}).to(kCuda);
    const Tensor y = gather_rows(x, index);
    const std::vector<double> from = x.to_vector(), values = y.to_vector();
    const auto at = [&](int64_t row, int64_t k) { return static_cast<size_t>(row * width + k); };
    for (int64_t k = 0; k < width; ++k) {
      EXPECT_EQ(values[at(0, k)], from[at(5, k)]);
      EXPECT_TRUE(std::isnan(values[at(1, k)]) && std::isnan(values[at(2, k)]));
      EXPECT_EQ(values[at(3, k)], from[at(0, k)]);
    }
    y.backward(random_tensor({4, width}).to(kCuda));
    for (const double g : slice(x.grad(), 1, 5).to_vector()) EXPECT_EQ(g, 0);
  }
}

}  // namespace
}  // namespace tern::test
