// Inference folds batch norm into the convolution and applies residual and activation where it writes: the
// same numbers as the modules one after the other, which run while gradients are recorded.

#include "tern/nn/conv_bn.h"

#include "tern/nn/init.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using namespace test;

struct Form {
  const char* name;
  nn::Conv2dOptions conv;
  int64_t n, side;
};

// Direct products, 1x1, Winograd tile by tile and step by step, groups, depthwise, odd channels.
const Form kForms[] = {
    {"direct", {.in = 5, .out = 19, .kernel = 3, .stride = 2, .padding = 1}, 2, 11},
    {"pointwise", {.in = 24, .out = 40, .kernel = 1, .bias = false}, 3, 9},
    {"winograd", {.in = 32, .out = 48, .kernel = 3, .padding = 1, .bias = false}, 3, 14},
    {"winograd in steps", {.in = 192, .out = 160, .kernel = 3, .padding = 1, .bias = false}, 2, 16},
    {"groups", {.in = 6, .out = 10, .kernel = 3, .padding = 1, .groups = 2}, 2, 7},
    {"depthwise", {.in = 21, .out = 21, .kernel = 3, .padding = 1, .groups = 21, .bias = false}, 2, 10},
};

struct Step {
  nn::Conv2d conv;
  nn::BatchNorm2d bn;
  nn::PReLU prelu;
};

Step make_step(const Form& form) {
  Step step{nn::Conv2d{form.conv}, nn::BatchNorm2d{{.channels = form.conv.out}},
            nn::PReLU{{.channels = form.conv.out}}};
  const NoGradGuard no_grad;
  uint64_t seed = 1;
  for (Tensor t : {step.bn.weight.share(), step.bn.bias.share(), step.bn.running_mean.share(),
                   step.prelu.weight.share()})
    t.copy_from(random_tensor(t.shape(), DType::F32, ++seed));
  for (int64_t c = 0; c < form.conv.out; ++c)
    step.bn.running_var.mutable_data<float>()[c] = 0.5f + static_cast<float>(c % 7) / 4;
  step.bn.eval();
  return step;
}

// Gradients off: folded. On: module by module.
Tensor folded(Step& step, const Tensor& x, const nn::BatchNormFollowers& then) {
  const NoGradGuard no_grad;
  return nn::conv_bn(step.conv, step.bn, x, then);
}

void check_form(const Form& form) {
  SCOPED_TRACE(form.name);
  Step step = make_step(form);
  const Tensor x = random_tensor({form.n, form.side, form.side, form.conv.in}, DType::F32, 5);
  const Shape y_shape = step.conv(x).shape();
  const Tensor residual = random_tensor(y_shape, DType::F32, 6);
  for (int option = 0; option < 6; ++option) {
    SCOPED_TRACE(option);
    const nn::BatchNormFollowers then{.residual = option % 2 ? residual : Tensor(),
                                      .prelu = option / 2 == 2 ? &step.prelu : nullptr,
                                      .relu = option / 2 == 1};
    const Tensor apart = nn::conv_bn(step.conv, step.bn, x, then);
    ASSERT_TRUE(apart.requires_grad());
    for_each_isa([&](cpu::Isa isa) {
      SCOPED_TRACE(to_string(isa));
      const Tensor together = folded(step, x, then);
      EXPECT_FALSE(together.requires_grad());
      expect_close(together, apart, 1e-5);
    });
    Tensor first;
    for_each_thread_count([&](int threads) {
      const Tensor y = folded(step, x, then);
      if (threads == 1) first = y;
      expect_equal_bits(y, first);
    });
  }
}

TEST(ConvBn, FoldedDirect) { check_form(kForms[0]); }
TEST(ConvBn, FoldedPointwise) { check_form(kForms[1]); }
TEST(ConvBn, FoldedWinograd) { check_form(kForms[2]); }
TEST(ConvBn, FoldedWinogradInSteps) { check_form(kForms[3]); }
TEST(ConvBn, FoldedGroups) { check_form(kForms[4]); }
TEST(ConvBn, FoldedDepthwise) { check_form(kForms[5]); }

TEST(ConvBn, FoldedBf16AndReference) {
  for (const Form& form : {kForms[0], kForms[5]}) {
    Step step = make_step(form);
    const Tensor x = random_tensor({form.n, form.side, form.side, form.conv.in}, DType::F32, 5);
    const Tensor residual = random_tensor(step.conv(x).shape(), DType::F32, 6);
    const Tensor exact = folded(step, x, {.residual = residual, .prelu = &step.prelu});
    const Tensor y =
        folded(step, x.to(DType::BF16), {.residual = residual.to(DType::BF16), .prelu = &step.prelu});
    EXPECT_EQ(y.dtype(), DType::BF16);
    expect_close(y.to(DType::F32), exact, 0.03);
    const cpu::Isa before = cpu::active_isa();
    cpu::set_isa(cpu::Isa::Reference);
    expect_close(folded(step, x, {.residual = residual, .prelu = &step.prelu}), exact, 1e-5);
    cpu::set_isa(before);
  }
}

TEST(ConvBn, AChangedWeightOrStatisticIsFoldedAgain) {
  Step step = make_step(kForms[0]);
  const Tensor x = random_tensor({2, 11, 11, 5});
  for (Tensor changed : {step.conv.weight.share(), step.conv.bias.share(), step.bn.weight.share(),
                         step.bn.bias.share(), step.bn.running_mean.share(), step.bn.running_var.share()}) {
    const Tensor before = folded(step, x, {});
    {
      const NoGradGuard no_grad;
      changed.mutable_data<float>()[0] += 1;
    }
    const Tensor after = folded(step, x, {});
    expect_close(after, nn::conv_bn(step.conv, step.bn, x), 1e-5);
    EXPECT_FALSE(close(after, before, 1e-3));
  }
}

TEST(ConvBn, AChainIsItsStepsInARow) {
  Step expand = make_step({"", {.in = 12, .out = 24, .kernel = 1, .bias = false}, 9, 10});
  Step filter =
      make_step({"", {.in = 24, .out = 24, .kernel = 3, .padding = 1, .groups = 24, .bias = false}, 9, 10});
  Step project = make_step({"", {.in = 24, .out = 12, .kernel = 1}, 9, 10});
  const Tensor x = random_tensor({9, 10, 10, 12}, DType::F32, 5);
  const auto chain = [&] {
    const nn::ConvBn steps[] = {{expand.conv, expand.bn, {.prelu = &expand.prelu}},
                                {filter.conv, filter.bn, {.relu = true}},
                                {project.conv, project.bn, {.residual = x}}};
    return nn::conv_bn_chain(x, steps);
  };
  const Tensor apart = chain();
  ASSERT_TRUE(apart.requires_grad());
  const NoGradGuard no_grad;
  const Tensor together = chain();
  EXPECT_FALSE(together.requires_grad());
  expect_close(together, apart, 1e-5);
  Tensor y = folded(expand, x, {.prelu = &expand.prelu});
  y = folded(filter, y, {.relu = true});
  expect_equal_bits(together, folded(project, y, {.residual = x}));
}

// In training the statistics come from the convolution: output, running statistics and gradients are those of
// the modules one after the other, up to the order of sums.
void check_training(const Form& form) {
  SCOPED_TRACE(form.name);
  struct Run {
    Tensor y, mean, variance, dx, dw, dgamma;
  };
  enum Way { kTogether, kByHand, kApart };
  const auto run = [&](Way way) {
    const nn::InitScope same_weights(11);
    Step step = make_step(form);
    step.bn.train();
    Tensor x = random_tensor({form.n, form.side, form.side, form.conv.in}, DType::F32, 5);
    x.set_requires_grad();
    const nn::BatchNormFollowers then{.prelu = &step.prelu};
    const auto forward = [&] {
      if (way == kTogether) return nn::conv_bn(step.conv, step.bn, x, then);
      if (way == kApart) return step.bn(step.conv(x), then);
      const auto [conv_x, statistics] = step.conv.run_with_statistics(x);
      return step.bn(conv_x, then, statistics);
    };
    const Tensor y = forward();
    y.backward(random_tensor(y.shape(), DType::F32, 7));
    EXPECT_EQ(step.bn.num_batches_tracked.data<int64_t>()[0], 1);
    return Run{y,        step.bn.running_mean.share(), step.bn.running_var.share(),
               x.grad(), step.conv.weight.grad(),      step.bn.weight.grad()};
  };
  const Run together = run(kTogether), by_hand = run(kByHand), apart = run(kApart);
  expect_equal_bits(together.y, by_hand.y);
  expect_equal_bits(together.variance, by_hand.variance);
  expect_close(together.y, apart.y, 1e-5);
  expect_close(together.mean, apart.mean, 1e-5);
  expect_close(together.variance, apart.variance, 1e-5);
  expect_close(together.dx, apart.dx, 1e-5);
  expect_close(together.dw, apart.dw, 1e-5);
  expect_close(together.dgamma, apart.dgamma, 1e-5);
}

TEST(ConvBn, TrainingTakesTheStatisticsOfTheConvolution) {
  for (const Form& form : kForms)
    if (form.conv.in < 100) check_training(form);
}

TEST(ConvBn, FusedConvolutionHasNoBackward) {
  const Tensor x = random_tensor({1, 4, 4, 3}), w = random_tensor({2, 3, 3, 3});
  expect_error<UsageError>([&] { conv2d_fused(x, w, {}, {}, {}); }, {"conv2d_fused", "NoGradGuard"});
  const NoGradGuard no_grad;
  expect_error<ShapeError>([&] { conv2d_fused(x, w, {}, {}, {.residual = x}); }, {"residual"});
  expect_error<ShapeError>([&] { conv2d_fused(x, w, {}, {}, {.activation = Activation::Prelu}); }, {"slope"});
}

}  // namespace
}  // namespace tern
