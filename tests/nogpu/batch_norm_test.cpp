// Batch normalisation on the device against the naive loops in f64, every pass and form, f32 and bf16.

#include "tern/ops/batch_norm.h"

#include "tern/ops/creation.h"
#include "tern/ops/pointwise.h"
#include "tern/ops/shape_ops.h"
#include "tern/tests/nogpu/parity.h"

namespace tern::test {
namespace {

struct Form {
  const char* name;
  bool training = true, relu = false, prelu = false, residual = false, plain = false;
};
constexpr Form kForms[] = {{"training"},
                           {"relu", true, true},
                           {"relu after a residual", true, true, false, true},
                           {"residual", true, false, false, true},
                           {"prelu", true, false, true},
                           {"prelu after a residual", true, false, true, true},
                           {"evaluation", false},
                           {"evaluation, relu after a residual", false, true, false, true},
                           {"evaluation, prelu", false, false, true},
                           {"no gamma, no beta", true, true, false, false, true}};

// Two rows would leave a gradient that is all rounding. Few channels and many, with and without whole
// vectors, a row group and its neighbours, several blocks of rows.
const std::vector<Shape> kShapes = {{4, 1},   {3, 4},    {7, 3},   {8, 8},    {9, 12},  {17, 5},  {64, 16},
                                    {257, 6}, {1025, 8}, {40, 68}, {33, 264}, {5, 520}, {2100, 1}};

Outputs run(const Form& form, const Tensors& x) {
  const int64_t channels = x[0].size(-1);
  const TensorOptions here{DType::F32, x[0].device()};
  const Tensor mean = full({channels}, 0.25, here), variance = full({channels}, 1.5, here);
  BatchNormTensors t{.x = x[0], .running_mean = mean, .running_var = variance};
  if (!form.plain) t.gamma = x[1], t.beta = x[2];
  if (form.residual) t.residual = x[3];
  if (form.prelu) t.slope = x[4];
  const Tensor y = batch_norm(t, {.training = form.training, .relu = form.relu});
  return Tensors{y, mean, variance};
}

Tensors inputs(const Shape& shape, DType dtype, double mean = 0.5) {
  const Shape channels{shape[shape.rank() - 1]};
  return {add(random_tensor(shape, DType::F32, 11), mean).to(dtype), random_tensor(channels, DType::F32, 12),
          random_tensor(channels, DType::F32, 13), random_tensor(shape, dtype, 14),
          random_tensor(channels, DType::F32, 15)};
}

class NoGpuBatchNorm : public testing::TestWithParam<Form> {};
TEST_P(NoGpuBatchNorm, F32) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(to_string(shape));
    expect_parity([](const Tensors& x) { return run(GetParam(), x); }, inputs(shape, DType::F32),
                  {.tolerance = 2e-6, .gradient_tolerance = 1e-5});
  }
}
TEST_P(NoGpuBatchNorm, Bf16) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(to_string(shape));
    expect_parity([](const Tensors& x) { return run(GetParam(), x); }, inputs(shape, DType::BF16),
                  {.tolerance = 2e-6, .gradient_tolerance = 2e-5});
  }
}
INSTANTIATE_TEST_SUITE_P(Forms, NoGpuBatchNorm, testing::ValuesIn(kForms), [](const auto& info) {
  std::string name = info.param.name;
  std::erase_if(name, [](char c) { return c == ',' || c == ' '; });
  return name;
});

TEST(NoGpuBatchNormStatistics, MeanThousandAndDeviationOne) {
  for (const Shape& shape : {Shape{900, 4}, Shape{300, 5}, Shape{2000, 8}})
    expect_parity([](const Tensors& x) { return run(kForms[0], x); }, inputs(shape, DType::F32, 1000),
                  {.tolerance = 2e-6, .gradient_tolerance = 2e-5});
}
TEST(NoGpuBatchNormStatistics, IntegersAreExact) {
  for (const int64_t rows : {2, 8, 64, 1024, 2048}) {  // powers of two: the quotients are exact, too
    const Tensor x = random_ints({rows, 4}, DType::F32, 3, -2, 2);
    const BatchNormGeometry g{.rows = rows, .channels = 4};
    const Tensor expected = Tensor::empty({2, 4}, {DType::F64});
    const Tensor got = Tensor::empty({2, 4}, {DType::F64, kCuda});
    cpu::batch_norm_statistics(g, x, expected);
    cu::batch_norm_statistics(g, x.to(kCuda), got);
    const auto a = got.to_vector(), b = expected.to_vector();
    for (size_t i = 0; i < 8; ++i) EXPECT_NEAR(a[i], b[i], 1e-7) << rows << " " << i;
  }
}
TEST(NoGpuBatchNormStatistics, TensorsThatAreNotAlignedToVectors) {
  expect_parity(
      [](const Tensors& x) {
        return run(kForms[2], {slice(x[0], 1, 20), x[1], x[2], slice(x[3], 1, 20), x[4]});
      },
      inputs({21, 6}, DType::F32), {.tolerance = 2e-6});
}

}  // namespace
}  // namespace tern::test
