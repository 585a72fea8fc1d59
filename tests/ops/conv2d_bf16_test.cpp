// Convolution of bf16 activations with f32 weights: every pass on every instruction set, and on the plain
// twin of the tiles, against the f64 loops on the rounded inputs.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tern/core/autograd.h"
#include "tern/core/philox.h"
#include "tern/cpu/gemm_tile.h"
#include "tern/ops/conv2d.h"
#include "tern/ops/linear.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using namespace test;

Conv2dOptions options_of(const Conv2dGeometry& g) {
  return {.stride = g.stride, .padding = g.padding, .dilation = g.dilation, .groups = g.groups};
}

std::string text(const Conv2dGeometry& g) {
  return concat_text("x ", g.x_shape(), " w ", g.w_shape(), " stride ", g.stride.h, ",", g.stride.w,
                     " padding ", g.padding.h, ",", g.padding.w, " dilation ", g.dilation.h, ",",
                     g.dilation.w, " groups ", g.groups);
}

Conv2dGeometry random_geometry(uint64_t seed) {
  PhiloxSequence draw(seed, RandomStream::Test, 11);
  const auto between = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(draw.below(static_cast<uint32_t>(high - low + 1)));
  };
  for (;;) {
    const int64_t kind = between(0, 6), groups = kind == 0 ? between(2, 3) : kind == 1 ? between(1, 37) : 1;
    const int64_t in = kind == 1 ? 1 : kind == 6 ? 32 * between(1, 2) : between(1, kind == 2 ? 70 : 9);
    const int64_t out = kind == 1 ? 1 : between(1, kind == 3 ? 70 : 9), side = kind == 6 ? 1 : 4;
    const Shape w{out * groups, between(1, side), between(1, side), in * groups / groups};
    const Shape x{between(1, 3), between(1, 9), between(1, 9), in * groups};
    try {
      return conv2d_geometry(x, w,
                             {.stride = {between(1, 3), between(1, 3)},
                              .padding = {between(0, 3), between(0, 3)},
                              .dilation = {between(1, 3), between(1, 3)},
                              .groups = groups});
    } catch (const ShapeError&) {  // the kernel is larger than the padded image: draw again
    }
  }
}

struct Inputs {
  Tensor x, w, bias, dy;
};
struct Passes {
  Tensor y, dx, dw, db;
};
Passes run(const Conv2dGeometry& g, const Inputs& in) {
  return {conv2d(in.x, in.w, in.bias, options_of(g)), conv2d_backward_data(g, in.dy, in.w),
          conv2d_backward_weight(g, in.dy, in.x), conv2d_backward_bias(g, in.dy)};
}

Inputs random_inputs(const Conv2dGeometry& g, uint64_t seed) {
  return {random_tensor(g.x_shape(), DType::F32, 4 * seed).to(DType::BF16),
          random_tensor(g.w_shape(), DType::F32, 4 * seed + 1),
          random_tensor({g.o}, DType::F32, 4 * seed + 2),
          random_tensor(g.y_shape(), DType::F32, 4 * seed + 3).to(DType::BF16)};
}

// What the loops in f64 are given: the activations, and the weights as they are rounded. change: of each
// value.
template <class Change>
Inputs wide_inputs(const Inputs& in, const Change& change) {
  const auto wide = [&](const Tensor& t) {
    const Tensor y = t.to(DType::F64).clone();
    for (int64_t i = 0; i < y.numel(); ++i) y.mutable_data<double>()[i] = change(y.data<double>()[i]);
    return y;
  };
  return {wide(in.x), wide(in.w.to(DType::BF16)), wide(in.bias), wide(in.dy)};
}

// |fast - exact| <= 4 terms u sum|a||b|, and half a unit in the last place where bf16 is stored.
void expect_within(const Tensor& fast, const Tensor& exact, const Tensor& absolute, int64_t terms,
                   const std::string& what) {
  ASSERT_EQ(fast.shape(), exact.shape()) << what;
  const double u = 4 * static_cast<double>(terms) * std::ldexp(1.0, -24);
  const std::vector<double> values = fast.to_vector();
  for (int64_t i = 0; i < fast.numel(); ++i) {
    const double want = exact.data<double>()[i], bound = u * absolute.data<double>()[i];
    const double size = std::abs(want) + bound;
    const bool rounded = fast.dtype() == DType::BF16 && size > 0;
    const double half_ulp = rounded ? std::ldexp(1.0, std::ilogb(size) - 8) : 0;
    ASSERT_LE(std::abs(values[static_cast<size_t>(i)] - want), bound + half_ulp) << what << " element " << i;
  }
}

// Every instruction set, the naive loops, and the plain twin of the tiles.
void on_every_path(const std::function<void(const std::string&)>& body) {
  for_each_isa([&](cpu::Isa isa) { body(std::string(cpu::to_string(isa))); });
  const cpu::Isa before = cpu::active_isa();
  cpu::set_isa(cpu::Isa::Reference);
  body("reference");
  cpu::set_isa(std::min(cpu::best_isa(), cpu::Isa::Avx512));
  cpu::use_tile_twin_for_test(true);
  body("twin");
  cpu::use_tile_twin_for_test(false);
  cpu::set_isa(before);
}

void check_random_shapes(uint64_t first, uint64_t last) {
  for (uint64_t seed = first; seed < last; ++seed) {
    const Conv2dGeometry g = random_geometry(seed);
    const Inputs in = random_inputs(g, seed);
    const Passes exact = run(g, wide_inputs(in, [](double v) { return v; }));
    const Passes absolute = run(g, wide_inputs(in, [](double v) { return std::abs(v); }));
    on_every_path([&](const std::string& path) {
      const Passes fast = run(g, in);
      const std::string where = path + " " + text(g);
      ASSERT_EQ(fast.y.dtype(), DType::BF16);
      ASSERT_EQ(fast.dx.dtype(), DType::BF16);
      ASSERT_EQ(fast.dw.dtype(), DType::F32);
      ASSERT_EQ(fast.db.dtype(), DType::F32);
      expect_within(fast.y, exact.y, absolute.y, g.patch() + 1, "forward " + where);
      expect_within(fast.dx, exact.dx, absolute.dx, g.kh * g.kw * g.group_out(), "data " + where);
      expect_within(fast.dw, exact.dw, absolute.dw, g.pixels(), "weight " + where);
      expect_within(fast.db, exact.db, absolute.db, g.pixels(), "bias " + where);
    });
  }
}

TEST(Conv2dBf16, EveryPassOnEveryPathWithinTheRoundingBound1) { check_random_shapes(0, 40); }
TEST(Conv2dBf16, EveryPassOnEveryPathWithinTheRoundingBound2) { check_random_shapes(40, 80); }
TEST(Conv2dBf16, EveryPassOnEveryPathWithinTheRoundingBound3) { check_random_shapes(80, 120); }
TEST(Conv2dBf16, EveryPassOnEveryPathWithinTheRoundingBound4) { check_random_shapes(120, 160); }
TEST(Conv2dBf16, EveryPassOnEveryPathWithinTheRoundingBound5) { check_random_shapes(160, 200); }

// Shapes that cross the cuts: several blocks of depth, panels, tasks and slices; matrices multiplied where
// they lie; steps of depth that straddle taps.
constexpr int kLargeGeometries = 9;
Conv2dGeometry large_geometry(int which) {
  switch (which) {
    case 0: return conv2d_geometry({1, 9, 8, 72}, {35, 3, 3, 72}, {.padding = 1});
    case 1: return conv2d_geometry({1, 13, 14, 33}, {66, 3, 3, 33}, {.stride = 2, .padding = 1});
    case 2: return conv2d_geometry({1, 25, 24, 3}, {64, 7, 7, 3}, {.stride = 2, .padding = 3});
    case 3: return conv2d_geometry({2, 12, 12, 64}, {96, 1, 1, 64}, {.stride = 2});
    case 4: return conv2d_geometry({1, 16, 16, 96}, {48, 1, 1, 96}, {});
    case 5: return conv2d_geometry({1, 7, 7, 96}, {64, 3, 3, 48}, {.padding = 1, .groups = 2});
    case 6: return conv2d_geometry({70, 4, 3, 40}, {24, 3, 3, 40}, {.stride = 2, .padding = 1});
    case 7: return conv2d_geometry({2, 31, 30, 96}, {8, 1, 1, 96}, {});       // several bands of pixels
    default: return conv2d_geometry({40, 1, 1, 1100}, {33, 1, 1, 1100}, {});  // a linear layer
  }
}

// Integers up to 3 and sums below 2^24: nothing is rounded before the result, and an even bf16 is exact.
TEST(Conv2dBf16, SmallIntegersAreExact) {
  for (int which = 0; which < kLargeGeometries; ++which) {
    const Conv2dGeometry g = large_geometry(which);
    const Inputs in{random_ints(g.x_shape(), DType::F32, 1, -3, 3).to(DType::BF16),
                    random_ints(g.w_shape(), DType::F32, 2, -3, 3), random_ints({g.o}, DType::F32, 3, -3, 3),
                    random_ints(g.y_shape(), DType::F32, 4, -3, 3).to(DType::BF16)};
    const Passes exact = run(g, wide_inputs(in, [](double v) { return v; }));
    on_every_path([&](const std::string& path) {
      const Passes fast = run(g, in);
      const std::string where = path + " " + text(g);
      EXPECT_TRUE(equal_bits(fast.y, exact.y.to(DType::BF16))) << where;
      EXPECT_TRUE(equal_bits(fast.dx, exact.dx.to(DType::BF16))) << where;
      EXPECT_TRUE(equal_bits(fast.dw, exact.dw.to(DType::F32))) << where;
      EXPECT_TRUE(equal_bits(fast.db, exact.db.to(DType::F32))) << where;
    });
  }
}

void expect_same(const Passes& a, const Passes& b, const std::string& where) {
  EXPECT_TRUE(equal_bits(a.y, b.y)) << where;
  EXPECT_TRUE(equal_bits(a.dx, b.dx)) << where;
  EXPECT_TRUE(equal_bits(a.dw, b.dw)) << where;
  EXPECT_TRUE(equal_bits(a.db, b.db)) << where;
}

TEST(Conv2dBf16, TheTwinHasTheBitsOfTheTiles) {
  if (!cpu::isa_available(cpu::Isa::Amx)) GTEST_SKIP() << "no AMX";
  const cpu::Isa before = cpu::active_isa();
  for (int which = 0; which < kLargeGeometries; ++which) {
    const Conv2dGeometry g = large_geometry(which);
    const Inputs in = random_inputs(g, 5);
    cpu::set_isa(cpu::Isa::Amx);
    const Passes tiles = run(g, in);
    cpu::set_isa(cpu::Isa::Avx512);
    cpu::use_tile_twin_for_test(true);
    const Passes twin = run(g, in);
    cpu::use_tile_twin_for_test(false);
    expect_same(twin, tiles, text(g));
  }
  cpu::set_isa(before);
}

TEST(Conv2dBf16, SameBitsForAnyNumberOfThreads) {
  for (int which = 0; which < kLargeGeometries; ++which) {
    const Conv2dGeometry g = large_geometry(which);
    const Inputs in = random_inputs(g, 6);
    const Passes once = run(g, in);
    for_each_thread_count([&](int) { expect_same(run(g, in), once, text(g)); });
  }
}

// A tensor of NaN bits inside a larger one.
struct FencedTensor {
  explicit FencedTensor(const Shape& shape, DType dtype)
      : all(Tensor::empty({shape.numel() + 2 * kGuard}, {.dtype = dtype})),
        inner(Tensor::view_of(all.impl()->storage, kGuard, shape, dtype)) {
    std::memset(all.raw_data(), 0xff, static_cast<size_t>(all.bytes()));
  }
  // Every element written, none beyond.
  void check(const std::string& what) const {
    const std::vector<double> values = all.to_vector();
    const auto n = static_cast<int64_t>(values.size());
    for (int64_t i = 0; i < n; ++i)
      ASSERT_EQ(std::isnan(values[static_cast<size_t>(i)]), i < kGuard || i >= n - kGuard)
          << what << " element " << i - kGuard;
  }
  static constexpr int64_t kGuard = 64;
  Tensor all, inner;
};

TEST(Conv2dBf16, WritesEveryElementAndNothingElse) {
  for (uint64_t seed = 300; seed < 330; ++seed) {
    const Conv2dGeometry g = random_geometry(seed);
    const Inputs in = random_inputs(g, seed);
    on_every_path([&](const std::string& path) {
      const FencedTensor y(g.y_shape(), DType::BF16), dx(g.x_shape(), DType::BF16),
          dw(g.w_shape(), DType::F32), db({g.o}, DType::F32);
      cpu::conv2d_forward(g, in.x, in.w, in.bias, y.inner);
      cpu::conv2d_backward_data(g, in.dy, in.w, dx.inner);
      cpu::conv2d_backward_weight(g, in.dy, in.x, dw.inner);
      cpu::conv2d_backward_bias(g, in.dy, db.inner);
      y.check("y " + path + text(g)), dx.check("dx " + path + text(g));
      dw.check("dw " + path + text(g)), db.check("db " + path + text(g));
    });
  }
}

TEST(Conv2dBf16, EmptyBatch) {
  const Conv2dGeometry g = conv2d_geometry({0, 5, 5, 4}, {6, 3, 3, 4}, {});
  const Passes p = run(g, random_inputs(g, 7));
  EXPECT_EQ(p.y.numel(), 0);
  EXPECT_EQ(p.dw.to_vector(), std::vector<double>(static_cast<size_t>(g.o * g.patch()), 0.0));
}

TEST(Conv2dBf16, LinearIsAProductOfRows) {
  Tensor x = random_tensor({3, 4, 40}).to(DType::BF16), w = random_tensor({9, 40}), b = random_tensor({9});
  x.set_requires_grad(true), w.set_requires_grad(true), b.set_requires_grad(true);
  const Tensor y = linear(x, w, b);
  ASSERT_EQ(y.shape(), Shape({3, 4, 9}));
  const auto wide = [](const Tensor& t) { return t.detach().to(DType::F64).set_requires_grad(true); };
  const Tensor xw = wide(x), ww = wide(w.detach().to(DType::BF16)), bw = wide(b), exact = linear(xw, ww, bw);
  expect_close(y.detach(), exact.detach(), 0.004);
  const Tensor dy = random_tensor(y.shape()).to(DType::BF16);
  y.backward(dy), exact.backward(dy.to(DType::F64));
  EXPECT_EQ(x.grad().dtype(), DType::BF16);
  expect_close(x.grad(), xw.grad(), 0.004);
  expect_close(w.grad(), ww.grad(), 1e-6);
  expect_close(b.grad(), bw.grad(), 1e-6);
}

TEST(Conv2dBf16, GradientsHaveTheTypesOfTheirInputs) {
  Tensor x = random_tensor({2, 6, 6, 5}).to(DType::BF16), w = random_tensor({7, 3, 3, 5}),
         b = random_tensor({7});
  x.set_requires_grad(true), w.set_requires_grad(true), b.set_requires_grad(true);
  const Tensor y = conv2d(x, w, b, {.padding = 1});
  y.backward(random_tensor(y.shape()).to(DType::BF16));
  EXPECT_EQ(x.grad().dtype(), DType::BF16);
  EXPECT_EQ(w.grad().dtype(), DType::F32);
  EXPECT_EQ(b.grad().dtype(), DType::F32);
  expect_error<DTypeError>([&] { conv2d(x.detach(), w.detach().to(DType::BF16)); }, {"conv2d", "bf16"});
}

}  // namespace
}  // namespace tern
