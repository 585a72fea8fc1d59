// Pooling: the f64 loops against finite differences and known values, the vector code of every instruction
// set against the f64 loops.

#include "tern/ops/pool2d.h"

#include <cmath>
#include <functional>
#include <limits>

#include "tern/ops/creation.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using namespace tern::test;
using Op = std::function<Tensor(const Tensor&)>;

struct Results {
  Tensor y, dx;
};
Results run(const Op& op, DType dtype, const Tensor& x, uint64_t seed, bool integers = false) {
  Tensor in = x.to(dtype).clone().set_requires_grad();
  const Tensor y = op(in);
  const Tensor dy =
      integers ? random_ints(y.shape(), DType::F32, seed, -4, 4) : random_tensor(y.shape(), DType::F32, seed);
  y.backward(dy.to(dtype));
  return {y, in.grad()};
}

// Every op on one shape; whole runs over more than 200 of them.
std::vector<Op> ops_for(int64_t kernel, int64_t stride, int64_t padding) {
  return {[=](const Tensor& x) {
            return max_pool2d(x, {kernel, stride, padding});
          },
          [=](const Tensor& x) {
            return avg_pool2d(x, {kernel, stride, padding, true});
          },
          [=](const Tensor& x) {
            return avg_pool2d(x, {kernel, stride, padding, false});
          },
          [=](const Tensor& x) { return global_avg_pool2d(x); }};
}

TEST(Pool2d, EveryIsaAgreesWithTheF64LoopsOverOddShapes) {
  uint64_t seed = 0;
  int cases = 0;
  for (const int64_t channels : {1, 3, 8, 16, 19, 65}) {
    for (const int64_t kernel : {1, 2, 3, 5}) {
      for (const int64_t stride : {1, 2, 3}) {
        for (int64_t padding = 0; 2 * padding <= kernel; ++padding) {
          ++seed;
          const int64_t height = 3 + static_cast<int64_t>(seed % 5),
                        width = 3 + static_cast<int64_t>(seed % 7);
          if (height + 2 * padding < kernel || width + 2 * padding < kernel) continue;
          const Tensor x = random_tensor({2, height, width, channels}, DType::F32, seed);
          SCOPED_TRACE(concat_text(x.shape(), " kernel ", kernel, " stride ", stride, " padding ", padding));
          for (const Op& op : ops_for(kernel, stride, padding)) {
            const Results exact = run(op, DType::F64, x, seed);
            for_each_isa([&](cpu::Isa isa) {
              SCOPED_TRACE(to_string(isa));
              const Results fast = run(op, DType::F32, x, seed);
              expect_close(fast.y, exact.y, 1e-6);
              expect_close(fast.dx, exact.dx, 1e-6);
            });
            ++cases;
          }
          if (testing::Test::HasFailure()) return;
        }
      }
    }
  }
  EXPECT_GE(cases, 200);
}

TEST(Pool2d, SmallIntegersAreExact) {
  for_each_isa([&](cpu::Isa) {
    const Tensor x = random_ints({2, 9, 10, 35}, DType::F32, 3, -9, 9);
    for (const Op& op : ops_for(2, 2, 0)) {
      const Results a = run(op, DType::F32, x, 4, true), b = run(op, DType::F64, x, 4, true);
      if (a.y.rank() == 2) continue;  // a mean over 90 pixels is no integer
      expect_close(a.y, b.y, 0);
      expect_close(a.dx, b.dx, 0);
    }
    const Results a = run(ops_for(3, 2, 1)[0], DType::F32, x, 4, true),
                  b = run(ops_for(3, 2, 1)[0], DType::F64, x, 4, true);
    expect_close(a.y, b.y, 0);
    expect_close(a.dx, b.dx, 0);
  });
}

TEST(Pool2d, SameBitsForAnyNumberOfThreads) {
  const Tensor x = random_tensor({3, 40, 40, 24});
  for (const Op& op : ops_for(3, 2, 1)) {
    Results first;
    for_each_thread_count([&](int threads) {
      const Results r = run(op, DType::F32, x, 8);
      if (threads == 1) first = r;
      expect_equal_bits(r.y, first.y);
      expect_equal_bits(r.dx, first.dx);
    });
  }
}

TEST(Pool2d, WritesEveryElementAndNothingElse) {
  for_each_isa([&](cpu::Isa) {
    for (const int64_t channels : {1, 7, 16, 33}) {
      const Pool2dGeometry g{.images = 2,
                             .height = 6,
                             .width = 7,
                             .channels = channels,
                             .out_height = 3,
                             .out_width = 4,
                             .kernel = 3,
                             .stride = 2,
                             .padding = 1};
      const Tensor x = random_tensor(g.input_shape()), dy = random_tensor(g.output_shape());
      const auto inside_nan = [](const Shape& shape, const std::function<void(const Tensor&)>& kernel) {
        const Tensor all = nan_tensor({shape.numel() + 64});
        const Tensor t = Tensor::view_of(Ref<Storage>(&all.storage()), 32, shape, DType::F32);
        kernel(t);
        for (const double v : t.to_vector()) EXPECT_TRUE(std::isfinite(v));
        const auto whole = all.to_vector();
        for (size_t i = 0; i < 32; ++i)
          EXPECT_TRUE(std::isnan(whole[i]) && std::isnan(whole[whole.size() - 1 - i]));
      };
      const Tensor index = Tensor::empty(g.output_shape(), {.dtype = DType::U8}), none;
      inside_nan(g.output_shape(), [&](const Tensor& y) { cpu::max_pool2d_forward(g, x, y, index); });
      inside_nan(g.output_shape(), [&](const Tensor& y) { cpu::max_pool2d_forward(g, x, y, none); });
      inside_nan(g.input_shape(), [&](const Tensor& dx) { cpu::max_pool2d_backward(g, dy, index, dx); });
      inside_nan(g.output_shape(), [&](const Tensor& y) { cpu::avg_pool2d_forward(g, x, y); });
      inside_nan(g.input_shape(), [&](const Tensor& dx) { cpu::avg_pool2d_backward(g, dy, dx); });
      inside_nan({2, channels}, [&](const Tensor& y) { cpu::global_avg_pool2d_forward(x, y); });
      const Tensor dmean = random_tensor({2, channels});
      inside_nan(g.input_shape(), [&](const Tensor& dx) { cpu::global_avg_pool2d_backward(dmean, dx); });
    }
  });
}

// Values worked out by hand on a 3x3 image.
TEST(Pool2d, KnownValues) {
  const auto check_all = [](DType dtype) {
    const Tensor x = arange(1, 10, 1, {.dtype = dtype});
    const Tensor image = Tensor::view_of(Ref<Storage>(&x.storage()), 0, {1, 3, 3, 1}, dtype);
    using Values = std::vector<double>;
    EXPECT_EQ(max_pool2d(image, {.kernel = 2}).to_vector(), (Values{5}));
    EXPECT_EQ(max_pool2d(image, {.kernel = 3, .stride = 2, .padding = 1}).to_vector(), (Values{5, 6, 8, 9}));
    EXPECT_EQ(avg_pool2d(image, {.kernel = 2, .stride = 1}).to_vector(), (Values{3, 4, 6, 7}));
    EXPECT_EQ(avg_pool2d(image, {.kernel = 2, .stride = 2, .padding = 1}).to_vector(),
              (Values{0.25, 1.25, 2.75, 7}));
    EXPECT_EQ(
        avg_pool2d(image, {.kernel = 2, .stride = 2, .padding = 1, .count_include_pad = false}).to_vector(),
        (Values{1, 2.5, 5.5, 7}));
    EXPECT_EQ(global_avg_pool2d(image).to_vector(), (Values{5}));
  };
  check_all(DType::F64);
  for_each_isa([&](cpu::Isa) { check_all(DType::F32); });
}

TEST(Pool2d, TiesGoToTheFirstPixelAndBordersNeverWin) {
  for_each_isa([&](cpu::Isa) {
    Tensor x = full({1, 4, 4, 17}, -3).set_requires_grad();
    const Tensor y = max_pool2d(x, {.kernel = 3, .stride = 2, .padding = 1});
    expect_close(y, full({1, 2, 2, 17}, -3), 0);
    y.backward(ones(y.shape()));
    const auto dx = x.grad().to_vector();
    for (int64_t pixel = 0; pixel < 16; ++pixel) {
      const bool first = pixel == 0 || pixel == 1 || pixel == 4 || pixel == 5;
      for (int64_t c = 0; c < 17; ++c) EXPECT_EQ(dx[static_cast<size_t>(pixel * 17 + c)], first ? 1 : 0);
    }
  });
}

TEST(Pool2d, NaNIsTheMaximum) {
  for_each_isa([&](cpu::Isa) {
    Tensor x = ones({1, 2, 2, 3});
    x.mutable_data<float>()[3] = std::numeric_limits<float>::quiet_NaN();
    const auto y = max_pool2d(x).to_vector();
    EXPECT_TRUE(std::isnan(y[0]));
    EXPECT_EQ(y[1], 1);
  });
}

TEST(GradCheck, max_pool2d) {
  for (const MaxPool2dOptions& o :
       {MaxPool2dOptions{2, 2, 0}, MaxPool2dOptions{3, 2, 1}, MaxPool2dOptions{3, 1, 0}})
    gradcheck([&](const std::vector<Tensor>& in) { return max_pool2d(in[0], o); },
              {random_tensor({2, 4, 5, 2}, DType::F64, 21)});
}

TEST(GradCheck, avg_pool2d) {
  for (const AvgPool2dOptions& o : {AvgPool2dOptions{2, 2, 0}, AvgPool2dOptions{3, 2, 1, true},
                                    AvgPool2dOptions{3, 2, 1, false}, AvgPool2dOptions{2, 1, 1, false}})
    gradcheck([&](const std::vector<Tensor>& in) { return avg_pool2d(in[0], o); },
              {random_tensor({2, 4, 5, 2}, DType::F64, 22)});
}

TEST(GradCheck, global_avg_pool2d) {
  gradcheck([](const std::vector<Tensor>& in) { return global_avg_pool2d(in[0]); },
            {random_tensor({2, 3, 4, 3}, DType::F64, 23)});
}

TEST(Pool2d, ErrorsNameTheSizes) {
  const Tensor x = zeros({1, 4, 4, 2});
  expect_error<ShapeError>([&] { max_pool2d(zeros({4, 4})); }, {"max_pool2d", "[4,4]"});
  expect_error<ShapeError>([&] { max_pool2d(x, {.kernel = 5}); }, {"kernel 5", "[1,4,4,2]"});
  expect_error<ShapeError>([&] { avg_pool2d(x, {.kernel = 2, .padding = 2}); }, {"padding 2", "half"});
  expect_error<UsageError>([&] { avg_pool2d(x, {.kernel = 0}); }, {"avg_pool2d", "at least 1"});
  expect_error<DTypeError>([&] { max_pool2d(x.to(DType::I32)); }, {"i32"});
  expect_error<ShapeError>([&] { global_avg_pool2d(zeros({1, 0, 4, 2})); }, {"no pixels"});
  EXPECT_EQ(max_pool2d(zeros({0, 4, 4, 2})).shape(), (Shape{0, 2, 2, 2}));
}

}  // namespace
}  // namespace tern
