// Convolutions on the device against the naive loops: every pass through cuDNN's descriptors, and what our
// own kernels do beside them.

#include "tern/ops/conv2d.h"

#include <cmath>
#include <filesystem>
#include <limits>

#include "tern/core/autograd.h"
#include "tern/cuda/dnn_cache.h"
#include "tern/cuda/runtime.h"
#include "tern/ops/linear.h"
#include "tern/ops/shape_ops.h"
#include "tern/tests/nogpu/cudart.h"
#include "tern/tests/nogpu/emulator.h"
#include "tern/tests/nogpu/library_test.h"

namespace nogpu {
namespace {

using namespace tern;
using namespace tern::test;

struct Case {
  Shape x, w;
  Conv2dOptions options = {};
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {{1, 1, 1, 1}, {1, 1, 1, 1}},                                            // one product
      {{2, 5, 4, 3}, {8, 3, 3, 3}, {.padding = 1}},                            // a photo's three channels
      {{1, 7, 7, 4}, {5, 3, 3, 4}, {.stride = 2, .padding = 1}},               // odd channels out
      {{2, 6, 5, 8}, {16, 1, 1, 8}},                                           // 1x1
      {{2, 7, 7, 16}, {24, 1, 1, 16}, {.stride = 2}},                          // 1x1 that skips pixels
      {{1, 8, 8, 8}, {8, 3, 3, 8}, {.padding = 2, .dilation = 2}},             // dilated
      {{2, 5, 5, 6}, {6, 3, 3, 3}, {.padding = 1, .groups = 2}},               // groups
      {{2, 6, 6, 16}, {16, 3, 3, 1}, {.padding = 1, .groups = 16}},            // depthwise
      {{1, 9, 9, 8}, {8, 3, 3, 1}, {.stride = 2, .padding = 1, .groups = 8}},  // depthwise, stride 2
      {{1, 9, 7, 5}, {7, 5, 3, 5}, {.stride = {2, 1}, .padding = {2, 0}}},     // nothing square
      {{1, 6, 8, 3}, {4, 2, 3, 3}, {.padding = {0, 2}, .dilation = {3, 1}}},   // dilated on one axis
      {{2, 4, 4, 8}, {10, 4, 4, 8}},                                           // the whole image
      {{1, 4, 4, 3}, {16, 7, 7, 3}, {.stride = 2, .padding = 3}},              // the kernel exceeds the image
      {{3, 3, 3, 33}, {31, 3, 3, 33}, {.padding = 1}},                         // odd everywhere
      {{0, 5, 5, 4}, {6, 3, 3, 4}, {.padding = 1}},                            // no photos
      {{2, 0, 3, 2}, {3, 2, 2, 2}, {.padding = 1}},                            // photos without pixels
  };
  return all;
}

class NoGpuConv2d : public CudnnTest {};

// All cases, or every `step`-th from `first` on.
void check_all_passes(DType dtype, bool with_bias, size_t first, size_t step,
                      const ParityOptions& options = {}) {
  for (size_t i = first; i < cases().size(); i += step) {
    const Case& c = cases()[i];
    SCOPED_TRACE(concat_text("x ", c.x, " w ", c.w));
    Tensors inputs{random_tensor(c.x, dtype, 1), random_tensor(c.w, DType::F32, 2)};
    if (with_bias) inputs.push_back(random_tensor({c.w[0]}, DType::F32, 3));
    expect_parity(
        [&](const Tensors& t) { return conv2d(t[0], t[1], t.size() > 2 ? t[2] : Tensor(), c.options); },
        inputs, options);
  }
}

TEST_F(NoGpuConv2d, EveryPassF32) { check_all_passes(DType::F32, false, 0, 1); }
TEST_F(NoGpuConv2d, EveryPassWithBiasF32) { check_all_passes(DType::F32, true, 0, 1); }

// cuDNN compiles most bf16 plans when they are made, half a second each: a third of the cases here, all of
// them in the long test. The gradient of filters whose channels do not come in eights is rounded to bf16
// once.
constexpr ParityOptions kBf16{.gradient_tolerance = 1.0 / 128};
TEST_F(NoGpuConv2d, PassesBf16) { check_all_passes(DType::BF16, false, 1, 3, kBf16); }
TEST_F(NoGpuConv2d, PassesWithBiasBf16) { check_all_passes(DType::BF16, true, 0, 3, kBf16); }

class LongNoGpuConv2d : public CudnnTest {};
TEST_F(LongNoGpuConv2d, EveryPassBf16) { check_all_passes(DType::BF16, false, 0, 1, kBf16); }
TEST_F(LongNoGpuConv2d, EveryPassWithBiasBf16) { check_all_passes(DType::BF16, true, 0, 1, kBf16); }

// Small integers: every sum is exact, in whatever order it is taken.
TEST_F(NoGpuConv2d, IntegersAreExact) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(concat_text("x ", c.x, " w ", c.w));
    expect_parity([&](const Tensors& t) { return conv2d(t[0], t[1], t[2], c.options); },
                  {random_ints(c.x, DType::F32, 4, -3, 3), random_ints(c.w, DType::F32, 5, -3, 3),
                   random_ints({c.w[0]}, DType::F32, 6, -3, 3)},
                  {.tolerance = 0, .gradients = false});
  }
}

TEST_F(NoGpuConv2d, LargeFilterGradientsOfBf16AreF32) {
  // Eights of channels: no rounding to bf16 on the way.
  const Shape x{2, 6, 6, 16}, w{8, 3, 3, 16};
  expect_parity([](const Tensors& t) { return conv2d(t[0], t[1], {}, {.padding = 1}); },
                {random_ints(x, DType::BF16, 1, -2, 2), random_tensor(w, DType::F32, 2)},
                {.gradient_tolerance = 1.0 / 128});
  const Conv2dGeometry g = conv2d_geometry(x, w, {.padding = 1});
  const Tensor photos = random_tensor(x, DType::BF16, 1), dy = random_tensor(g.y_shape(), DType::BF16, 3);
  const Tensor expected = conv2d_backward_weight(g, dy, photos);
  const Tensor dw = conv2d_backward_weight(g, dy.to(kCuda), photos.to(kCuda));
  expect_close(dw.to(kCpu), expected, 1e-5);
}

// ---- what follows a convolution ----

struct Following {
  bool bias, residual;
  Activation activation;
};

TEST_F(NoGpuConv2d, FusedWithWhatFollows) {
  const NoGradGuard guard;
  const Shape x{2, 5, 5, 8}, w{12, 3, 3, 8}, y{2, 5, 5, 12};
  for (const DType dtype : {DType::F32, DType::BF16})
    for (const Following& f :
         {Following{true, false, Activation::Relu}, Following{false, false, Activation::Relu},
          Following{true, true, Activation::Relu}, Following{false, true, Activation::None},
          Following{true, true, Activation::Prelu}, Following{false, false, Activation::Prelu}}) {
      SCOPED_TRACE(testing::Message() << f.bias << f.residual << static_cast<int>(f.activation));
      const Tensors inputs{random_tensor(x, dtype, 1), random_tensor(w, DType::F32, 2),
                           f.bias ? random_tensor({12}, DType::F32, 3) : Tensor(),
                           f.residual ? random_tensor(y, dtype, 4) : Tensor(),
                           f.activation == Activation::Prelu ? random_tensor({12}, DType::F32, 5) : Tensor()};
      expect_parity(
          [&](const Tensors& t) {
            return conv2d_fused(t[0], t[1], t[2], {.padding = 1},
                                {.residual = t[3], .slope = t[4], .activation = f.activation});
          },
          inputs, {.gradients = false});
    }
}

// What is fused is one execution of cuDNN and no kernel of ours.
TEST_F(NoGpuConv2d, BiasAndReluArePartOfTheGraph) {
  const NoGradGuard guard;
  const Tensor x = random_tensor({1, 3, 3, 8}).to(kCuda), w = random_tensor({4, 3, 3, 8}).to(kCuda),
               bias = random_tensor({4}).to(kCuda);
  for (const Activation activation : {Activation::None, Activation::Relu}) {
    const auto launches = counts().launches;
    const int64_t executions = library_counts().cudnn_executions;
    conv2d_fused(x, w, bias, {}, {.activation = activation}).to(kCpu);
    EXPECT_EQ(counts().launches, launches);
    EXPECT_EQ(library_counts().cudnn_executions, executions + 1);
  }
}

// cuDNN has no fused form for grouped bf16 convolutions: the bias is a pass of our own.
TEST_F(NoGpuConv2d, FusedGroupsInBf16) {
  const NoGradGuard guard;
  expect_parity(
      [](const Tensors& t) {
        return conv2d_fused(t[0], t[1], t[2], {.padding = 1, .groups = 8}, {.activation = Activation::Relu});
      },
      {random_tensor({2, 4, 4, 8}, DType::BF16, 1), random_tensor({8, 3, 3, 1}, DType::F32, 2),
       random_tensor({8}, DType::F32, 3)},
      {.tolerance = 1.0 / 64, .gradients = false});
}

TEST_F(NoGpuConv2d, NanStaysNan) {
  const NoGradGuard guard;
  Tensor x = random_tensor({1, 3, 3, 4});
  x.mutable_data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  const Tensor w = random_tensor({4, 1, 1, 4}), bias = random_tensor({4});
  const Tensor y =
      conv2d_fused(x.to(kCuda), w.to(kCuda), bias.to(kCuda), {}, {.activation = Activation::Relu}).to(kCpu);
  for (int64_t i = 0; i < y.numel(); ++i) EXPECT_EQ(std::isnan(y.data<float>()[i]), i < 4) << i;
}

// ---- addresses, types, memory ----

TEST_F(NoGpuConv2d, ViewsAtOddAddresses) {
  // Rows 1 and 2 of a batch of photos whose size is no multiple of 16 bytes.
  expect_parity(
      [](const Tensors& t) { return conv2d(slice(t[0], 1, 3), t[1], slice(t[2], 1, 6), {.padding = 1}); },
      {random_tensor({3, 3, 3, 3}), random_tensor({5, 3, 3, 3}, DType::F32, 2),
       random_tensor({6}, DType::F32, 3)});
}

TEST_F(NoGpuConv2d, F64IsRefused) {
  const Tensor x = random_tensor({1, 3, 3, 2}, DType::F64).to(kCuda);
  const Tensor w = random_tensor({2, 3, 3, 2}, DType::F64).to(kCuda);
  expect_error<DTypeError>([&] { conv2d(x, w); }, {"conv2d", "f64", "f32 and bf16", "hint"});
}

// A trained model's bf16 filters are made once, and again when the weight changes.
TEST_F(NoGpuConv2d, Bf16FiltersAreKeptWhileGradientsAreOff) {
  const NoGradGuard guard;
  const Tensor x = random_tensor({1, 4, 4, 8}, DType::BF16).to(kCuda);
  Tensor w = random_tensor({8, 3, 3, 8}, DType::F32, 2).to(kCuda);
  const auto launches = [&] {
    const auto before = counts().launches;
    const Tensor y = conv2d(x, w).to(kCpu);
    return counts().launches - before;
  };
  const auto first = launches();
  EXPECT_EQ(launches() + 1, first);  // no cast
  const Tensor other = random_tensor({8, 3, 3, 8}, DType::F32, 3);
  w.copy_from(other);
  EXPECT_EQ(launches(), first);
  expect_close(conv2d(x, w).to(kCpu), conv2d(x.to(kCpu), other), 1.0 / 128);
}

TEST_F(NoGpuConv2d, SteadyStateAllocatesNothing) {
  const Tensor x = random_tensor({2, 6, 6, 8}).to(kCuda), w = random_tensor({8, 3, 3, 8}).to(kCuda);
  const auto step = [&] {
    Tensor leaf = w.detach();
    leaf.set_requires_grad();
    const Tensor y = conv2d(x, leaf, {}, {.padding = 1});
    y.backward(y.detach());
    cu::runtime(kCuda).synchronize();
  };
  step();
  const int64_t mallocs = cuda_mallocs();
  const size_t plans = cu::runtime(kCuda).dnn_plans().size();
  for (int i = 0; i < 3; ++i) step();
  EXPECT_EQ(cuda_mallocs(), mallocs);
  EXPECT_EQ(cu::runtime(kCuda).dnn_plans().size(), plans);
}

// Tuning runs candidates on the caller's tensors and leaves the right result in them.
TEST_F(NoGpuConv2d, TuningLeavesTheResult) {
  const std::string cache = testing::TempDir() + "tern_nogpu_conv_cache";
  setenv("XDG_CACHE_HOME", cache.c_str(), 1);
  cu::reset_runtimes_for_test();
  set_cuda_options({.tf32 = true, .autotune = true});
  const int64_t before = library_counts().cudnn_executions;
  const Tensor x = random_tensor({1, 5, 5, 4}), w = random_tensor({4, 3, 3, 4}, DType::F32, 2);
  const Tensor y = conv2d(x.to(kCuda), w.to(kCuda), {}, {.padding = 1}).to(kCpu);
  expect_close(y, conv2d(x, w, {}, {.padding = 1}), 1e-5);
  EXPECT_GT(library_counts().cudnn_executions, before + 1);
  EXPECT_EQ(cu::runtime(kCuda).dnn_plans().tuned(), 1);
  set_cuda_options({.deterministic = true});
  const int64_t tuned = library_counts().cudnn_executions;
  conv2d(x.to(kCuda), w.to(kCuda), {}, {.padding = 1});
  EXPECT_EQ(library_counts().cudnn_executions, tuned + 1);  // nothing is tuned
  cu::reset_runtimes_for_test();
  unsetenv("XDG_CACHE_HOME");
  std::filesystem::remove_all(cache);
}

TEST_F(NoGpuConv2d, LinearInBf16IsAConvolution) {
  expect_parity([](const Tensors& t) { return linear(t[0], t[1], t[2]); },
                {random_tensor({5, 24}, DType::BF16), random_tensor({10, 24}, DType::F32, 2),
                 random_tensor({10}, DType::F32, 3)},
                {.gradient_tolerance = 1.0 / 128});
}

// ---- the gradient of the bias: tiles of 512 rows ----

class NoGpuConv2dBias : public LibraryTest {};

TEST_F(NoGpuConv2dBias, SumsOfEverySize) {
  for (const DType dtype : {DType::F32, DType::BF16})
    for (const int64_t rows : {0, 1, 31, 32, 33, 511, 512, 1023, 1024, 1537})
      for (const int64_t channels : {1, 3, 4, 8, 33, 40}) {
        const Conv2dGeometry g{
            .n = rows, .h = 1, .w = 1, .c = 1, .o = channels, .kh = 1, .kw = 1, .out_h = 1, .out_w = 1};
        const Tensor dy = random_ints(g.y_shape(), dtype, 7, -4, 4);
        SCOPED_TRACE(concat_text(dtype, " ", rows, "x", channels));
        const Tensor expected = conv2d_backward_bias(g, dy);
        for_each_thread_order(
            [&] { expect_equal_bits(conv2d_backward_bias(g, dy.to(kCuda)).to(kCpu), expected); });
      }
}

}  // namespace
}  // namespace nogpu
