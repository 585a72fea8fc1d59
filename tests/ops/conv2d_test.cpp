#include "tern/ops/conv2d.h"

#include <cmath>
#include <functional>

#include "tern/core/autograd.h"
#include "tern/core/philox.h"
#include "tern/cpu/conv2d_winograd.h"
#include "tern/cpu/reference/conv2d.h"
#include "tern/ops/cast.h"
#include "tern/ops/reduce.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tensors.h"
#include "tests/support/winograd_scope.h"

namespace tern {
namespace {

using namespace test;

// Odd sizes on purpose: one-pixel images, strides beyond the kernel, pads beyond the image, odd channel
// counts.
Conv2dGeometry random_geometry(uint64_t seed) {
  PhiloxSequence draw(seed, RandomStream::Test, 7);
  const auto between = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(draw.below(static_cast<uint32_t>(high - low + 1)));
  };
  for (;;) {
    const int64_t kind = between(0, 5);
    const int64_t groups = kind == 0 ? between(2, 3) : kind == 1 ? between(1, 37) : 1;
    const int64_t in = kind == 1 ? 1 : between(1, kind == 2 ? 40 : 9),
                  out = kind == 1 ? 1 : between(1, kind == 3 ? 40 : 9);
    const Shape w{out * groups, between(1, 4), between(1, 4), in};
    const Shape x{between(1, 3), between(1, 9), between(1, 9), in * groups};
    const Conv2dOptions options{.stride = {between(1, 4), between(1, 3)},
                                .padding = {between(0, 3), between(0, 3)},
                                .dilation = {between(1, 3), between(1, 3)},
                                .groups = groups};
    try {
      return conv2d_geometry(x, w, options);
    } catch (const ShapeError&) {  // the kernel is larger than the padded image: draw again
    }
  }
}

Conv2dOptions options_of(const Conv2dGeometry& g) {
  return {.stride = g.stride, .padding = g.padding, .dilation = g.dilation, .groups = g.groups};
}

std::string text(const Conv2dGeometry& g, cpu::Isa isa) {
  return concat_text(cpu::to_string(isa), " x ", g.x_shape(), " w ", g.w_shape(), " stride ", g.stride.h, ",",
                     g.stride.w, " padding ", g.padding.h, ",", g.padding.w, " dilation ", g.dilation.h, ",",
                     g.dilation.w, " groups ", g.groups);
}

struct Passes {
  Tensor y, dx, dw, db;
};
Passes run(const Conv2dGeometry& g, const Tensor& x, const Tensor& w, const Tensor& bias, const Tensor& dy) {
  return {conv2d(x, w, bias, options_of(g)), conv2d_backward_data(g, dy, w), conv2d_backward_weight(g, dy, x),
          conv2d_backward_bias(g, dy)};
}

Tensor magnitude(const Tensor& x) {
  Tensor y = x.to(DType::F64).clone();
  for (int64_t i = 0; i < y.numel(); ++i) y.mutable_data<double>()[i] = std::abs(y.data<double>()[i]);
  return y;
}

// |fast - exact| <= 4 terms u sum|a||b|, element by element.
void expect_within(const Tensor& fast, const Tensor& exact, const Tensor& absolute, int64_t terms,
                   const std::string& what) {
  ASSERT_EQ(fast.shape(), exact.shape()) << what;
  const double u = 4 * static_cast<double>(terms) * std::ldexp(1.0, -24);
  for (int64_t i = 0; i < fast.numel(); ++i)
    ASSERT_LE(std::abs(fast.data<float>()[i] - exact.data<double>()[i]), u * absolute.data<double>()[i])
        << what << " element " << i;
}

void check_random_shapes(uint64_t first, uint64_t last) {
  for (uint64_t seed = first; seed < last; ++seed) {
    const Conv2dGeometry g = random_geometry(seed);
    const Tensor x = random_tensor(g.x_shape(), DType::F32, 4 * seed),
                 w = random_tensor(g.w_shape(), DType::F32, 4 * seed + 1);
    const Tensor b = random_tensor({g.o}, DType::F32, 4 * seed + 2),
                 dy = random_tensor(g.y_shape(), DType::F32, 4 * seed + 3);
    const auto f64 = [](const Tensor& t) { return t.to(DType::F64); };
    const Passes exact = run(g, f64(x), f64(w), f64(b), f64(dy));
    const Passes absolute = run(g, magnitude(x), magnitude(w), magnitude(b), magnitude(dy));
    for_each_isa([&](cpu::Isa isa) {
      const Passes fast = run(g, x, w, b, dy);
      const std::string where = text(g, isa);
      expect_within(fast.y, exact.y, absolute.y, g.patch() + 1, "forward " + where);
      expect_within(fast.dx, exact.dx, absolute.dx, g.kh * g.kw * g.group_out(), "data " + where);
      expect_within(fast.dw, exact.dw, absolute.dw, g.pixels(), "weight " + where);
      expect_within(fast.db, exact.db, absolute.db, g.pixels(), "bias " + where);
    });
  }
}

TEST(Conv2d, EveryPassOnEveryInstructionSetWithinTheRoundingBound1) { check_random_shapes(0, 60); }
TEST(Conv2d, EveryPassOnEveryInstructionSetWithinTheRoundingBound2) { check_random_shapes(60, 120); }
TEST(Conv2d, EveryPassOnEveryInstructionSetWithinTheRoundingBound3) { check_random_shapes(120, 180); }
TEST(Conv2d, EveryPassOnEveryInstructionSetWithinTheRoundingBound4) { check_random_shapes(180, 240); }

// Shapes that cross the cuts: more than one block of depth, several panels, several tasks and slices. The
// first six run direct sums.
constexpr int kLargeGeometries = 8;
Conv2dGeometry large_geometry(int which) {
  switch (which) {
    case 0: return conv2d_geometry({3, 9, 8, 70}, {35, 3, 3, 70}, {.padding = 1});
    case 1: return conv2d_geometry({2, 15, 14, 33}, {66, 3, 3, 33}, {.stride = 2, .padding = 1});
    case 2: return conv2d_geometry({2, 31, 30, 3}, {64, 7, 7, 3}, {.stride = 2, .padding = 3});
    case 3: return conv2d_geometry({5, 12, 12, 64}, {96, 1, 1, 64}, {.stride = 2});
    case 4: return conv2d_geometry({2, 12, 12, 48}, {48, 3, 3, 1}, {.stride = 2, .padding = 1, .groups = 48});
    case 5: return conv2d_geometry({2, 7, 7, 96}, {64, 3, 3, 48}, {.padding = 1, .groups = 2});
    case 6: return conv2d_geometry({10, 7, 8, 48}, {64, 3, 3, 48}, {.padding = 1});  // Winograd, tile by tile
    default:
      return conv2d_geometry({35, 4, 4, 176}, {160, 3, 3, 176}, {.padding = 1});  // Winograd, step by step
  }
}

void check_integers(int which) {
  const Conv2dGeometry g = large_geometry(which);
  const Tensor x = random_ints(g.x_shape(), DType::F32, 1, -3, 3),
               w = random_ints(g.w_shape(), DType::F32, 2, -3, 3);
  const Tensor b = random_ints({g.o}, DType::F32, 3, -3, 3),
               dy = random_ints(g.y_shape(), DType::F32, 4, -3, 3);
  cpu::set_isa(cpu::Isa::Reference);
  const Passes exact = run(g, x, w, b, dy);
  for_each_isa([&](cpu::Isa isa) {
    const Passes fast = run(g, x, w, b, dy);
    EXPECT_TRUE(close(fast.y, exact.y, 0)) << text(g, isa);
    EXPECT_TRUE(close(fast.dx, exact.dx, 0)) << text(g, isa);
    EXPECT_TRUE(close(fast.dw, exact.dw, 0)) << text(g, isa);
    EXPECT_TRUE(close(fast.db, exact.db, 0)) << text(g, isa);
  });
  cpu::set_isa(cpu::best_isa());
}

TEST(Conv2d, ExactOnSmallIntegersDeep3x3) { check_integers(0); }
TEST(Conv2d, ExactOnSmallIntegersStrided3x3) { check_integers(1); }
TEST(Conv2d, ExactOnSmallIntegersStem7x7) { check_integers(2); }
TEST(Conv2d, ExactOnSmallIntegersStrided1x1) { check_integers(3); }
TEST(Conv2d, ExactOnSmallIntegersDepthwise) { check_integers(4); }
TEST(Conv2d, ExactOnSmallIntegersGrouped) { check_integers(5); }

// One case per geometry.
class Conv2dLarge : public testing::TestWithParam<int> {
 protected:
  const Conv2dGeometry g_ = large_geometry(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Geometries, Conv2dLarge, testing::Range(0, kLargeGeometries));

TEST_P(Conv2dLarge, SameBitsForAnyThreadCount) {
  const Tensor x = random_tensor(g_.x_shape(), DType::F32, 1), w = random_tensor(g_.w_shape(), DType::F32, 2);
  const Tensor b = random_tensor({g_.o}, DType::F32, 3), dy = random_tensor(g_.y_shape(), DType::F32, 4);
  Passes first;
  for_each_thread_count([&](int threads) {
    const Passes now = run(g_, x, w, b, dy);
    if (threads == 1) first = now;
    expect_equal_bits(now.y, first.y);
    expect_equal_bits(now.dx, first.dx);
    expect_equal_bits(now.dw, first.dw);
    expect_equal_bits(now.db, first.db);
  });
}

TEST_P(Conv2dLarge, WritesEveryElementAndNothingElse) {
  const Tensor x = random_tensor(g_.x_shape()), w = random_tensor(g_.w_shape()),
               dy = random_tensor(g_.y_shape());
  for_each_isa([&](cpu::Isa isa) {
    const auto finite = [&](const Tensor& t) {
      for (const double v : t.to_vector()) ASSERT_TRUE(std::isfinite(v)) << text(g_, isa);
    };
    const Tensor y = nan_tensor(g_.y_shape()), dx = nan_tensor(g_.x_shape()), dw = nan_tensor(g_.w_shape()),
                 db = nan_tensor({g_.o});
    cpu::conv2d_forward(g_, x, w, {}, y);
    cpu::conv2d_backward_data(g_, dy, w, dx);
    cpu::conv2d_backward_weight(g_, dy, x, dw);
    cpu::conv2d_backward_bias(g_, dy, db);
    finite(y), finite(dx), finite(dw), finite(db);
  });
}

double relative_error(const Tensor& fast, const Tensor& exact) {
  double difference = 0, norm = 0;
  const std::vector<double> a = fast.to_vector(), b = exact.to_vector();
  for (size_t i = 0; i < a.size(); ++i) difference += (a[i] - b[i]) * (a[i] - b[i]), norm += b[i] * b[i];
  return std::sqrt(difference / norm);
}

void expect_winograd_accuracy(const Conv2dGeometry& g, const Passes& exact, const Tensor& x, const Tensor& w,
                              const Tensor& b, const Tensor& dy) {
  const WinogradScope on(true);
  ASSERT_TRUE(cpu::use_winograd(g));
  for_each_isa([&](cpu::Isa isa) {
    const Passes fast = run(g, x, w, b, dy);
    EXPECT_LT(relative_error(fast.y, exact.y), 5e-6) << text(g, isa);
    EXPECT_LT(relative_error(fast.dx, exact.dx), 5e-6) << text(g, isa);
    EXPECT_LT(relative_error(fast.dw, exact.dw), 5e-6) << text(g, isa);
  });
}

// Tiles that stick out, every padding, channels that leave half a panel.
TEST(Conv2d, WinogradWithinFiveMillionthsOfDouble) {
  for (const Conv2dGeometry& g : {conv2d_geometry({4, 9, 12, 48}, {32, 3, 3, 48}, {.padding = 1}),
                                  conv2d_geometry({8, 7, 7, 32}, {80, 3, 3, 32}, {.padding = {0, 2}})}) {
    const Tensor x = random_tensor(g.x_shape(), DType::F32, 1), w = random_tensor(g.w_shape(), DType::F32, 2);
    const Tensor b = random_tensor({g.o}, DType::F32, 3), dy = random_tensor(g.y_shape(), DType::F32, 4);
    const auto f64 = [](const Tensor& t) { return t.to(DType::F64); };
    expect_winograd_accuracy(g, run(g, f64(x), f64(w), f64(b), f64(dy)), x, w, b, dy);
  }
}

// Against the direct sums, ten times as accurate: large filters and few tiles, whose filters are transformed
// block by block and whose gradient is made in one go, and so many tiles that they come in several ranges.
void expect_winograd_agrees_with_direct(const Conv2dGeometry& g) {
  const Tensor x = random_tensor(g.x_shape(), DType::F32, 1), w = random_tensor(g.w_shape(), DType::F32, 2);
  const Tensor b = random_tensor({g.o}, DType::F32, 3), dy = random_tensor(g.y_shape(), DType::F32, 4);
  const Passes direct = [&] {
    const WinogradScope off(false);
    return run(g, x, w, b, dy);
  }();
  expect_winograd_accuracy(g, direct, x, w, b, dy);
}

TEST(Conv2d, WinogradOfManyChannelsAgreesWithDirectSums) {
  expect_winograd_agrees_with_direct(conv2d_geometry({35, 4, 4, 192}, {160, 3, 3, 192}, {.padding = 1}));
}

TEST(Conv2d, WinogradOfManyTilesAgreesWithDirectSums) {
  expect_winograd_agrees_with_direct(conv2d_geometry({13, 12, 8, 32}, {32, 3, 3, 32}, {.padding = 1}));
}

// A trained model keeps its filters transformed, training transforms them block by block: the same sums.
TEST(Conv2d, WinogradHasTheSameBitsWithAndWithoutRecording) {
  const Conv2dGeometry g = conv2d_geometry({35, 4, 4, 176}, {160, 3, 3, 176}, {.padding = 1});
  const WinogradScope on(true);
  ASSERT_TRUE(cpu::use_winograd(g));
  const Tensor x = random_tensor(g.x_shape()), w = random_tensor(g.w_shape());
  for_each_isa([&](cpu::Isa isa) {
    const Tensor training = nan_tensor(g.y_shape()), inference = nan_tensor(g.y_shape());
    cpu::conv2d_forward(g, x, w, {}, training);
    NoGradGuard no_grad;
    cpu::conv2d_forward(g, x, w, {}, inference);
    EXPECT_EQ(training.to_vector(), inference.to_vector()) << text(g, isa);
  });
}

TEST(Conv2d, EmptyBatch) {
  for (const cpu::Isa isa : {cpu::Isa::Reference, cpu::best_isa()}) {
    cpu::set_isa(isa);
    const Conv2dGeometry g = conv2d_geometry({0, 8, 8, 3}, {4, 3, 3, 3}, {.padding = 1});
    const Passes p = run(g, Tensor::empty(g.x_shape()), random_tensor(g.w_shape()), random_tensor({4}),
                         Tensor::empty(g.y_shape()));
    EXPECT_EQ(p.y.shape(), (Shape{0, 8, 8, 4}));
    EXPECT_EQ(p.dx.shape(), g.x_shape());
    for (const double v : p.dw.to_vector()) EXPECT_EQ(v, 0);
    for (const double v : p.db.to_vector()) EXPECT_EQ(v, 0);
  }
}

TEST(Conv2d, HandComputed) {
  const Tensor x = Tensor::from_data(std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 3, 3, 1});
  const Tensor w = Tensor::from_data(std::vector<float>{1, 2, 3, 4}, {1, 2, 2, 1});
  EXPECT_EQ(conv2d(x, w).to_vector(), (std::vector<double>{37, 47, 67, 77}));
  EXPECT_EQ(conv2d(x, w, {}, {.stride = 2, .padding = 1}).to_vector(), (std::vector<double>{4, 18, 36, 77}));
}

TEST(Conv2d, ErrorsNameTheSizesAndTheRemedy) {
  const Tensor x = random_tensor({1, 8, 8, 1}), w = random_tensor({8, 3, 3, 3});
  expect_error<ShapeError>([&] { conv2d(x, w); }, {"conv2d: input has 1 channel, weight expects 3",
                                                   "[1,8,8,1]", "[8,3,3,3]", "hint"});
  expect_error<ShapeError>([&] { conv2d(random_tensor({8, 8, 3}), w); }, {"[N,H,W,C]", "[8,8,3]"});
  expect_error<ShapeError>(
      [&] {
        conv2d(random_tensor({1, 2, 8, 3}), w);
      },
      {"reaches over 3", "height", "2"});
  expect_error<UsageError>(
      [&] {
        conv2d(random_tensor({1, 8, 8, 3}), w, {}, {.stride = 0});
      },
      {"stride", "{0,0}"});
  expect_error<ShapeError>(
      [&] {
        conv2d(random_tensor({1, 8, 8, 6}), w, {}, {.groups = 2}).shape();
        conv2d(random_tensor({1, 8, 8, 9}), w, {}, {.groups = 3});
      },
      {"8 output channels", "3 groups"});
  expect_error<ShapeError>(
      [&] {
        conv2d(random_tensor({1, 8, 8, 3}), w, random_tensor({7}));
      },
      {"bias must be [8]", "[7]"});
  expect_error<DTypeError>([&] { conv2d(random_tensor({1, 8, 8, 3}, DType::F64), w); }, {"f64", "f32"});
  expect_error<ShapeError>(
      [&] {
        conv2d(random_tensor({1, 8, 8, 3}), w, {}, {.padding = int64_t{1} << 62});
      },
      {});
}

TEST(Conv2d, NoDataGradientForAnInputThatNeedsNone) {
  const Tensor x = random_tensor({1, 4, 4, 2});
  Tensor w = random_tensor({3, 3, 3, 2});
  w.set_requires_grad();
  sum(conv2d(x, w)).backward();
  EXPECT_TRUE(w.grad().defined());
  EXPECT_FALSE(x.grad().defined());
}

TEST(Conv2d, PackedWeightsAreRemadeWhenTheWeightChanges) {
  const NoGradGuard guard;
  for (const Conv2dGeometry& g : {large_geometry(0), large_geometry(5), large_geometry(6)}) {
    const Tensor x = random_tensor(g.x_shape(), DType::F32, 1);
    Tensor w = random_tensor(g.w_shape(), DType::F32, 2);
    const Tensor other = random_tensor(g.w_shape(), DType::F32, 3);
    const Tensor first = conv2d(x, w, {}, options_of(g));
    expect_equal_bits(conv2d(x, w, {}, options_of(g)), first);
    w.copy_from(other);
    expect_equal_bits(conv2d(x, w, {}, options_of(g)), conv2d(x, other, {}, options_of(g)));
    for_each_isa([&](cpu::Isa) {
      expect_close(conv2d(x, w, {}, options_of(g)), conv2d(x, other, {}, options_of(g)), 0);
    });
  }
}

TEST(GradCheck, conv2d) {
  const auto check_one = [](const Shape& x, const Shape& w, const Conv2dOptions& options) {
    gradcheck([&](const std::vector<Tensor>& in) { return conv2d(in[0], in[1], in[2], options); },
              {random_tensor(x, DType::F64, 1), random_tensor(w, DType::F64, 2),
               random_tensor({w[0]}, DType::F64, 3)});
  };
  check_one({2, 4, 3, 2}, {3, 3, 2, 2}, {.padding = 1});
  check_one({1, 5, 5, 4}, {4, 2, 3, 2},
            {.stride = {2, 1}, .padding = {0, 2}, .dilation = {1, 2}, .groups = 2});
  check_one({1, 4, 4, 3}, {3, 3, 3, 1}, {.stride = 3, .padding = 1, .groups = 3});
}

}  // namespace
}  // namespace tern
