// Dropout on the device: the mask and the products of the CPU, bit by bit.

#include "tern/ops/dropout.h"

#include "tern/ops/shape_ops.h"
#include "tern/tests/nogpu/parity.h"

namespace tern::test {
namespace {

TEST(NoGpuDropout, EveryElementIsKeptAsOnTheCpu) {
  for (const int64_t n : kSizes)
    for (const DType dtype : {DType::F32, DType::BF16})
      for (const double p : {0.3, 1.0}) {
        SCOPED_TRACE(testing::Message() << n << " elements, p " << p);
        expect_parity(
            [&](const Tensors& x) {
              return dropout(x[0], {.p = p, .seed = 0x123456789abcull, .step = uint64_t{1} << 40});
            },
            {random_tensor({n}, dtype)}, {.tolerance = 0, .gradient_tolerance = 0});
      }
}
TEST(NoGpuDropout, TensorsThatAreNotAlignedToVectors) {
  for (const DType dtype : {DType::F32, DType::BF16})
    expect_parity([](const Tensors& x) { return dropout(slice(x[0], 1, 4), {.p = 0.25, .seed = 7}); },
                  {random_tensor({5, 333}, dtype)}, {.tolerance = 0, .gradient_tolerance = 0});
}

}  // namespace
}  // namespace tern::test
