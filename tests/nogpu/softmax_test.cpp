// Softmax, log-softmax and cross-entropy on the device against the naive loops.

#include "tern/ops/softmax.h"

#include <cmath>
#include <limits>

#include "tern/ops/cross_entropy.h"
#include "tern/tests/nogpu/parity.h"

namespace tern::test {
namespace {

const std::vector<Shape> kShapes = {{1, 1},    {3, 2},    {5, 31},   {2, 32},   {4, 33}, {17, 7}, {9, 257},
                                    {3, 1000}, {2, 1024}, {2, 1025}, {1, 5000}, {0, 4},  {64, 3}};

TEST(NoGpuSoftmax, SoftmaxOfEveryShape) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(to_string(shape));
    expect_parity([](const Tensors& x) { return softmax(x[0]); }, {random_tensor(shape)},
                  {.tolerance = 2e-6});
  }
}
TEST(NoGpuSoftmax, LogSoftmaxOfEveryShape) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(to_string(shape));
    expect_parity([](const Tensors& x) { return log_softmax(x[0]); }, {random_tensor(shape)});
  }
}
TEST(NoGpuSoftmax, RowsThatAreNotFiniteAreNan) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const std::vector<float> values = {1, NAN, 2, 1, kInf, 2, -kInf, -kInf, -kInf, 0, -kInf, 0, 90, -90, 1e30f};
  const Tensor x = Tensor::from_data(std::span(values), {5, 3}).to(kCuda);
  for (const Tensor& y : {softmax(x), log_softmax(x)}) {
    const auto got = y.to_vector();
    for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(std::isnan(got[i]), i < 9) << i;
  }
}

Tensor labels_for(int64_t n, int64_t classes) {
  return random_ints({n}, DType::I64, 5, 0, static_cast<int>(classes) - 1);
}

TEST(NoGpuSoftmax, CrossEntropyOfEveryShape) {
  for (const Shape& shape : kShapes)
    for (const double smoothing : {0.0, 0.1, 1.0}) {
      SCOPED_TRACE(testing::Message() << to_string(shape) << " smoothing " << smoothing);
      for (const Reduction reduction : {Reduction::Mean, Reduction::None})
        expect_parity(
            [&](const Tensors& x) {
              return cross_entropy(x[0], x[1], {smoothing, reduction});
            },
            {random_tensor(shape), labels_for(shape[0], shape[1])}, {.tolerance = 2e-6});
    }
}
// Labels on a device are not read back; a wrong one touches no memory that is not there, and shows.
TEST(NoGpuSoftmax, LabelsOutOfRangeGiveNan) {
  const std::vector<int64_t> labels = {0, 3, -1};
  Tensor x = random_tensor({3, 3}).to(kCuda);
  x.set_requires_grad();
  const Tensor loss =
      cross_entropy(x, Tensor::from_data(std::span(labels), {3}).to(kCuda), {.reduction = Reduction::None});
  loss.backward(random_tensor({3}).to(kCuda));
  const auto value = loss.to_vector(), gradient = x.grad().to_vector();
  for (size_t n = 0; n < 3; ++n) {
    EXPECT_EQ(std::isnan(value[n]), n > 0);
    for (size_t c = 0; c < 3; ++c) EXPECT_EQ(std::isnan(gradient[n * 3 + c]), n > 0);
  }
}

}  // namespace
}  // namespace tern::test
