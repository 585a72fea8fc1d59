// Statistics from the convolution's epilogue against plain sums in f64 over the output that it wrote.

#include <cmath>
#include <iterator>
#include <limits>

#include "tern/core/autograd.h"
#include "tern/cpu/conv2d_winograd.h"
#include "tern/cpu/gemm_tile.h"
#include "tern/ops/conv2d.h"
#include "tests/support/tensors.h"
#include "tests/support/winograd_scope.h"

namespace tern {
namespace {

using namespace test;

struct Form {
  const char* name;
  Shape x, w;
  Conv2dOptions options = {};
  bool winograd = false;
};

// Every algorithm, with ranges that are whole and with a rest; odd channels; several ranges of filters.
const Form kForms[] = {
    {"direct", {3, 23, 22, 9}, {19, 3, 3, 9}, {.stride = 2, .padding = 1}},
    {"direct, filters in ranges", {2, 5, 6, 170}, {130, 3, 3, 170}, {.padding = 1}},
    {"stem", {1, 40, 38, 3}, {24, 7, 7, 3}, {.stride = 2, .padding = 3}},
    {"groups", {3, 17, 16, 6}, {10, 3, 3, 3}, {.padding = 1, .groups = 2}},
    {"pointwise", {5, 13, 13, 24}, {70, 1, 1, 24}},
    {"pointwise, few pixels", {2, 7, 7, 33}, {130, 1, 1, 33}},
    {"pointwise, filters in ranges", {3, 13, 14, 300}, {700, 1, 1, 300}},
    {"pointwise with stride", {3, 15, 14, 20}, {36, 1, 1, 20}, {.stride = 2}},
    {"depthwise", {3, 19, 18, 21}, {21, 3, 3, 1}, {.padding = 1, .groups = 21}},
    {"depthwise, small images", {40, 4, 4, 37}, {37, 3, 3, 1}, {.padding = 1, .groups = 37}},
    {"winograd", {3, 28, 28, 32}, {48, 3, 3, 32}, {.padding = 1}, true},
    {"winograd, ragged", {11, 13, 14, 32}, {32, 3, 3, 32}, {.padding = 1}, true},
    {"winograd in steps", {9, 13, 14, 176}, {160, 3, 3, 176}, {.padding = 1}, true},
    {"winograd by filters", {35, 4, 4, 176}, {160, 3, 3, 176}, {.padding = 1}, true},
};

Tensor sums_in_f64(const Tensor& y) {
  const int64_t channels = y.size(3), rows = y.numel() / channels;
  const std::vector<double> values = y.to_vector();
  Tensor statistics = Tensor::empty({2, channels}, {.dtype = DType::F64});
  statistics.fill(0);
  double *mean = statistics.mutable_data<double>(), *variance = mean + channels;
  for (int64_t i = 0; i < y.numel(); ++i)
    mean[i % channels] += values[static_cast<size_t>(i)] / static_cast<double>(rows);
  for (int64_t i = 0; i < y.numel(); ++i)
    variance[i % channels] +=
        std::pow(values[static_cast<size_t>(i)] - mean[i % channels], 2) / static_cast<double>(rows);
  return statistics;
}

// Channel by channel; errors of the mean against the deviation.
void expect_statistics(const Tensor& got, const Tensor& y) {
  ASSERT_TRUE(got.defined());
  const int64_t channels = y.size(3);
  ASSERT_EQ(got.shape(), (Shape{2, channels}));
  const Tensor exact = sums_in_f64(y);
  const double *mean = exact.data<double>(), *variance = mean + channels, *found = got.data<double>();
  for (int64_t c = 0; c < channels; ++c) {
    ASSERT_NEAR(found[c], mean[c], 1e-6 * std::sqrt(variance[c]) + 1e-7 * std::abs(mean[c])) << "mean " << c;
    ASSERT_NEAR(found[channels + c], variance[c], 3e-6 * variance[c]) << "variance " << c;
  }
}

struct Inputs {
  explicit Inputs(const Form& form, double mean = 0)
      : x(random_tensor(form.x, DType::F32, 1)),
        w(random_tensor(form.w, DType::F32, 2)),
        bias(random_tensor({form.w[0]}, DType::F32, 3)) {
    for (int64_t o = 0; o < bias.numel(); ++o) bias.mutable_data<float>()[o] += static_cast<float>(mean);
  }
  Tensor x, w, bias;
};

bool winograd_takes(const Form& form) {
  return cpu::use_winograd(conv2d_geometry(form.x, form.w, form.options));
}

// On every instruction set, and far from zero on the best one.
void check_forms(size_t first, size_t last) {
  const WinogradScope on(true);
  for (size_t i = first; i < last; ++i) {
    const Form& form = kForms[i];
    SCOPED_TRACE(form.name);
    ASSERT_EQ(winograd_takes(form), form.winograd);
    const Inputs in(form), far(form, 1000);
    for_each_isa([&](cpu::Isa isa) {
      SCOPED_TRACE(to_string(isa));
      const auto [y, statistics] = conv2d_with_statistics(in.x, in.w, in.bias, form.options);
      expect_equal_bits(y, conv2d(in.x, in.w, in.bias, form.options));
      expect_statistics(statistics, y);
    });
    const auto [y, statistics] = conv2d_with_statistics(far.x, far.w, far.bias, form.options);
    expect_statistics(statistics, y);
  }
}
TEST(Conv2dStatistics, OfDirectSums) { check_forms(0, 4); }
TEST(Conv2dStatistics, OfPointwise) { check_forms(4, 8); }
TEST(Conv2dStatistics, OfDepthwise) { check_forms(8, 10); }
TEST(Conv2dStatistics, OfWinogradTileByTile) { check_forms(10, 12); }
TEST(Conv2dStatistics, OfWinogradStepByStep) { check_forms(12, 13); }
TEST(Conv2dStatistics, OfWinogradByFilters) { check_forms(13, std::size(kForms)); }

TEST(Conv2dStatistics, TheSameBitsForAnyNumberOfThreads) {
  const WinogradScope on(true);
  for (const Form& form : kForms) {
    if (form.w[0] * form.w[3] > 20000) continue;  // the same code, for longer
    SCOPED_TRACE(form.name);
    const Inputs in(form);
    Tensor first;
    for_each_thread_count([&](int threads) {
      const Tensor statistics = conv2d_with_statistics(in.x, in.w, in.bias, form.options).statistics;
      if (threads == 1) first = statistics;
      expect_equal_bits(statistics, first);
    });
  }
}

// Tiles in lines that do not fit a block end in the middle of a row of y: nothing is said.
TEST(Conv2dStatistics, AreLeftToTheirOwnPassWhereRowsAreNotFinishedTogether) {
  const WinogradScope on(true);
  const Form form{"winograd, five tiles a line", {3, 20, 20, 32}, {32, 3, 3, 32}, {.padding = 1}, true};
  ASSERT_TRUE(winograd_takes(form));
  const Inputs in(form);
  const auto [y, statistics] = conv2d_with_statistics(in.x, in.w, in.bias, form.options);
  EXPECT_FALSE(statistics.defined());
  expect_equal_bits(y, conv2d(in.x, in.w, in.bias, form.options));
}

TEST(Conv2dStatistics, OfBf16OnTilesAndDepthwise) {
  for (const Form& form : kForms) {
    if (form.winograd || form.w[0] * form.w[3] > 20000) continue;  // the twin is slow
    SCOPED_TRACE(form.name);
    const Inputs in(form);
    cpu::use_tile_twin_for_test(true);
    const auto [y, statistics] = conv2d_with_statistics(in.x.to(DType::BF16), in.w, in.bias, form.options);
    cpu::use_tile_twin_for_test(false);
    ASSERT_EQ(y.dtype(), DType::BF16);
    expect_statistics(statistics, y);
  }
}

TEST(Conv2dStatistics, OfReferenceAndF64AreLeftToTheirOwnPass) {
  const Form& form = kForms[0];
  const Inputs in(form);
  const auto f64 = [](const Tensor& t) { return t.to(DType::F64); };
  EXPECT_FALSE(conv2d_with_statistics(f64(in.x), f64(in.w), f64(in.bias), form.options).statistics.defined());
  const cpu::Isa before = cpu::active_isa();
  cpu::set_isa(cpu::Isa::Reference);
  EXPECT_FALSE(conv2d_with_statistics(in.x, in.w, in.bias, form.options).statistics.defined());
  cpu::set_isa(before);
}

TEST(Conv2dStatistics, NaNStaysInItsChannel) {
  const Form form{"pointwise", {4, 12, 12, 8}, {6, 1, 1, 8}};
  Inputs in(form);
  in.bias.mutable_data<float>()[2] = std::numeric_limits<float>::quiet_NaN();
  const Tensor statistics = conv2d_with_statistics(in.x, in.w, in.bias).statistics;
  for (int64_t c = 0; c < 6; ++c) {
    EXPECT_EQ(std::isnan(statistics.data<double>()[c]), c == 2);
    EXPECT_EQ(std::isnan(statistics.data<double>()[6 + c]), c == 2);
  }
}

// Recorded like conv2d: the same gradients.
TEST(Conv2dStatistics, TheGradientsAreThoseOfConv2d) {
  const Form& form = kForms[4];
  const auto gradients = [&](bool with) {
    Inputs in(form);
    for (Tensor t : {in.x, in.w, in.bias}) t.set_requires_grad();
    const Tensor y = with ? conv2d_with_statistics(in.x, in.w, in.bias, form.options).y
                          : conv2d(in.x, in.w, in.bias, form.options);
    y.backward(random_tensor(y.shape(), DType::F32, 9));
    return std::vector<Tensor>{in.x.grad(), in.w.grad(), in.bias.grad()};
  };
  const auto with = gradients(true), without = gradients(false);
  for (size_t i = 0; i < with.size(); ++i) expect_equal_bits(with[i], without[i]);
}

TEST(Conv2dStatistics, AnEmptyBatchAndAWrongShape) {
  const Tensor w = random_tensor({5, 1, 1, 4});
  EXPECT_EQ(conv2d_with_statistics(Tensor::empty({0, 6, 6, 4}), w).y.shape(), (Shape{0, 6, 6, 5}));
  expect_error<ShapeError>(
      [&] {
        conv2d_with_statistics(random_tensor({2, 6, 6, 3}), w);
      },
      {"3 channels", "weight expects 4"});
}

}  // namespace
}  // namespace tern
