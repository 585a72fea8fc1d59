// L2 normalisation on the device has the bits of the CPU, forward and backward.

#include "tern/ops/l2_normalize.h"

#include "tern/tests/nogpu/parity.h"

namespace tern::test {
namespace {

TEST(NoGpuL2Normalize, HasTheBitsOfTheCpu) {
  for (const Shape& shape : {Shape{0, 4}, Shape{1, 1}, Shape{3, 3}, Shape{7, 4}, Shape{8, 5}, Shape{9, 31},
                             Shape{2, 32}, Shape{3, 33}, Shape{17, 64}, Shape{2, 127}, Shape{33, 128},
                             Shape{1, 512}, Shape{2, 1001}, Shape{2, 3, 20}}) {
    SCOPED_TRACE(to_string(shape));
    expect_parity([](const Tensors& x) { return l2_normalize(x[0]); }, {random_tensor(shape)},
                  {.tolerance = 0, .gradient_tolerance = 0});
  }
}
// Values of very different size: another order of the sum would show.
TEST(NoGpuL2Normalize, HasTheBitsOfTheCpuForRoughRows) {
  const Tensor x = random_tensor({40, 77});
  float* v = x.mutable_data<float>();
  for (int64_t i = 0; i < x.numel(); ++i) v[i] *= i % 5 == 0 ? 1e12f : i % 7 == 0 ? 1e-9f : 1.0f;
  expect_parity([](const Tensors& in) { return l2_normalize(in[0]); }, {x},
                {.tolerance = 0, .gradient_tolerance = 0});
}
TEST(NoGpuL2Normalize, RowsWithoutDirectionHaveNoGradient) {
  const Tensor x = random_tensor({5, 12});
  for (int64_t k = 0; k < 12; ++k) x.mutable_data<float>()[24 + k] = 0;
  expect_parity([](const Tensors& in) { return l2_normalize(in[0], {.eps = 1e-3}); }, {x},
                {.tolerance = 0, .gradient_tolerance = 0});
}

}  // namespace
}  // namespace tern::test
