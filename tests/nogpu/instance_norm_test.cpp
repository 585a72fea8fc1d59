// Instance normalisation on the device against the naive loops in f64, f32 and bf16.

#include "tern/ops/instance_norm.h"

#include "tern/ops/pointwise.h"
#include "tern/ops/shape_ops.h"
#include "tern/tests/nogpu/parity.h"

namespace tern::test {
namespace {

// One channel, whole vectors and not, one tile of channels and several, fewer positions than lanes and more,
// four positions and their neighbours, images of one row; no images, no pixels, no channels.
const std::vector<Shape> kShapes = {{2, 1, 3, 1},  {3, 2, 2, 4},   {1, 3, 3, 8},   {4, 5, 1, 3},
                                    {2, 7, 5, 12}, {5, 4, 4, 17},  {2, 16, 17, 8}, {1, 40, 33, 4},
                                    {3, 6, 6, 68}, {2, 3, 5, 264}, {9, 2, 3, 5},   {1, 37, 41, 2},
                                    {0, 2, 2, 4},  {2, 0, 3, 4},   {2, 3, 3, 0}};

Outputs affine(const Tensors& x) { return instance_norm(x[0], x[1], x[2]); }

Tensors inputs(const Shape& shape, DType dtype, double mean = 0.5) {
  const Shape channels{shape[3]};
  return {add(random_tensor(shape, DType::F32, 11), mean).to(dtype), random_tensor(channels, DType::F32, 12),
          random_tensor(channels, DType::F32, 13)};
}

TEST(NoGpuInstanceNorm, F32) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(to_string(shape));
    expect_parity(affine, inputs(shape, DType::F32), {.tolerance = 2e-6, .gradient_tolerance = 1e-5});
  }
}
TEST(NoGpuInstanceNorm, Bf16) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(to_string(shape));
    expect_parity(affine, inputs(shape, DType::BF16), {.tolerance = 2e-6, .gradient_tolerance = 2e-5});
  }
}
TEST(NoGpuInstanceNorm, WithoutParameters) {
  for (const Shape& shape : {Shape{2, 5, 5, 8}, Shape{3, 3, 4, 7}})
    for (const DType dtype : {DType::F32, DType::BF16}) {
      expect_parity([](const Tensors& x) { return instance_norm(x[0]); }, {inputs(shape, dtype)[0]},
                    {.tolerance = 2e-6});
      expect_parity([](const Tensors& x) { return instance_norm(x[0], {}, x[1], {.eps = 0.1}); },
                    {inputs(shape, dtype)[0], inputs(shape, dtype)[2]}, {.tolerance = 2e-6});
    }
}
// The gradient of an image of one position is 0, not rounding.
TEST(NoGpuInstanceNorm, OnePosition) {
  for (const DType dtype : {DType::F32, DType::BF16})
    for (const int64_t channels : {1, 8, 19})
      expect_parity(affine, inputs({3, 1, 1, channels}, dtype), {.tolerance = 2e-6});
}
TEST(NoGpuInstanceNorm, MeanThousandAndDeviationOne) {
  expect_parity(affine, inputs({2, 20, 25, 5}, DType::F32, 1000),
                {.tolerance = 2e-6, .gradient_tolerance = 2e-5});
}
TEST(NoGpuInstanceNorm, TensorsThatAreNotAlignedToVectors) {
  expect_parity([](const Tensors& x) { return instance_norm(slice(x[0], 1, 4), x[1], x[2]); },
                inputs({5, 3, 3, 6}, DType::F32), {.tolerance = 2e-6});
}
TEST(NoGpuInstanceNorm, ParametersAlone) {
  expect_parity([](const Tensors& x) { return instance_norm(x[0].detach(), x[1], x[2]); },
                inputs({3, 4, 4, 12}, DType::F32), {.tolerance = 2e-6});
}
TEST(NoGpuInstanceNorm, RefusesF64ByName) {
  expect_error<DTypeError>(
      [] {
        instance_norm(random_tensor({1, 2, 2, 3}, DType::F64).to(kCuda));
      },
      {"instance_norm", "f64", "on the CPU"});
}

}  // namespace
}  // namespace tern::test
