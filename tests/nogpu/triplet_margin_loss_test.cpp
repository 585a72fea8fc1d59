// The triplet loss on given triplets, on the device against the naive loops.

#include "tern/ops/triplet_margin_loss.h"

#include <limits>

#include "tern/core/error.h"
#include "tern/tests/nogpu/parity.h"

namespace tern::test {
namespace {

constexpr double kPowers[] = {1.0, 2.0, 3.5, std::numeric_limits<double>::infinity()};

template <class Body>
void for_each_form(const Body& body) {
  for (const double p : kPowers)
    for (const bool swap : {false, true})
      for (const bool squared : {false, true})
        for (const bool soft : {false, true})
          for (const TripletEps eps : {TripletEps::Exact, TripletEps::Torch}) {
            SCOPED_TRACE(testing::Message()
                         << "p " << p << (swap ? " swap" : "") << (squared ? " squared" : "")
                         << (soft ? " soft" : "") << (eps == TripletEps::Torch ? " torch" : ""));
            body(TripletMarginOptions{
                .p = p, .swap = swap, .squared = squared, .soft_margin = soft, .eps = eps});
          }
}

Tensors triplets(const Shape& shape) {
  Tensors x{random_tensor(shape, DType::F32, 1), random_tensor(shape, DType::F32, 2),
            random_tensor(shape, DType::F32, 3)};
  // Every fifth anchor is its positive, every seventh positive the negative.
  const int64_t d = shape[1];
  for (int64_t i = 0; i < shape[0] * d; ++i) {
    if (i / d % 5 == 4) x[1].mutable_data<float>()[i] = x[0].data<float>()[i];
    if (i / d % 7 == 6) x[2].mutable_data<float>()[i] = x[1].data<float>()[i];
  }
  return x;
}

TEST(NoGpuTripletMarginLoss, EveryForm) {
  for_each_form([](TripletMarginOptions options) {
    options.reduction = Reduction::None;
    expect_parity([&](const Tensors& x) { return triplet_margin_loss(x[0], x[1], x[2], options); },
                  triplets({24, 13}), {.tolerance = 1e-6, .gradient_tolerance = 1e-6});
  });
}

TEST(NoGpuTripletMarginLoss, EveryShapeAndReduction) {
  const std::vector<Shape> shapes = {{0, 4},  {4, 0},  {1, 1},   {1, 32}, {2, 31},  {7, 33}, {8, 64},
                                     {9, 65}, {31, 3}, {33, 17}, {64, 2}, {257, 5}, {3, 300}};
  for (const Shape& shape : shapes)
    for (const Reduction reduction :
         {Reduction::Mean, Reduction::MeanNonZero, Reduction::Sum, Reduction::None}) {
      SCOPED_TRACE(testing::Message() << to_string(shape) << " " << to_string(reduction));
      const TripletMarginOptions options{.margin = 0.5, .swap = true, .reduction = reduction};
      expect_parity([&](const Tensors& x) { return triplet_margin_loss(x[0], x[1], x[2], options); },
                    triplets(shape), {.tolerance = 1e-6, .gradient_tolerance = 1e-6});
    }
}

TEST(NoGpuTripletMarginLoss, F64StaysOnTheCpu) {
  const Tensor x = random_tensor({2, 3}, DType::F64).to(kCuda);
  expect_error<DTypeError>([&] { triplet_margin_loss(x, x, x); },
                           {"f64", "cuda", "hint: compute f64 on the CPU"});
}

// More losses than one block sums.
TEST(LongNoGpuTripletMarginLoss, ManyTriplets) {
  expect_parity([](const Tensors& x) { return triplet_margin_loss(x[0], x[1], x[2]); }, triplets({4200, 3}),
                {.tolerance = 1e-6, .gradient_tolerance = 1e-6});
}

}  // namespace
}  // namespace tern::test
