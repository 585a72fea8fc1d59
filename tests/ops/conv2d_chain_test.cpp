// A chain runs depth first and has the bits of one convolution after the other.

#include <ostream>
#include <string>
#include <vector>

#include "tern/core/autograd.h"
#include "tern/ops/conv2d.h"

#include "tests/support/tensors.h"

namespace tern {
namespace {

using namespace test;

struct Layer {
  int64_t out, kernel = 1, stride = 1, padding = 0, dilation = 1;
  bool depthwise = false, prelu = true;
};
struct Chain {
  const char* name;
  int64_t h, w, in;
  std::vector<Layer> layers;
  bool residual = false;
};

// Windows that hold the image and windows that move on, strides that skip rows, taps outside of the image,
// odd channels, panels and tiles that are not full, rows that would fall into the same cache sets.
const Chain kChains[] = {
    {"bottleneck", 14, 14, 24, {{48}, {48, 3, 1, 1, 1, true}, {24, 1, 1, 0, 1, false, false}}, true},
    {"strided", 15, 11, 13, {{70}, {70, 3, 2, 1, 1, true}, {33}}},
    {"moving window", 47, 30, 8, {{64}, {64, 3, 1, 1, 1, true}, {8, 1, 1, 0, 1, false, false}}, true},
    {"moving and strided", 53, 27, 6, {{64}, {64, 5, 2, 2, 1, true}, {20}}},
    {"skipped rows", 58, 21, 5, {{64}, {64, 2, 3, 0, 1, true}, {9}}},
    {"wide padding", 9, 7, 6, {{18}, {18, 3, 2, 4, 2, true}, {5}}},
    {"depthwise first", 21, 20, 24, {{24, 3, 1, 1, 1, true}, {36}, {36, 3, 2, 1, 1, true}, {32}}},
    {"depthwise twice", 9, 8, 512, {{512, 3, 1, 1, 1, true}, {512, 3, 1, 1, 1, true}, {20}}},
    {"depthwise last", 12, 12, 10, {{30}, {40}, {40, 3, 1, 1, 1, true}}, true},
};

void PrintTo(const Chain& chain, std::ostream* out) { *out << chain.name; }

struct Made {
  Tensor x;
  std::vector<Conv2dStep> steps;
};

Made make(const Chain& chain, int64_t images) {
  Made made{random_tensor({images, chain.h, chain.w, chain.in}, DType::F32, 1), {}};
  Shape shape = made.x.shape();
  uint64_t seed = 1;
  for (const Layer& l : chain.layers) {
    const int64_t in = shape[3];
    Conv2dStep step{
        .weight = random_tensor({l.out, l.kernel, l.kernel, l.depthwise ? 1 : in}, DType::F32, ++seed),
        .bias = random_tensor({l.out}, DType::F32, ++seed),
        .options = {.stride = l.stride,
                    .padding = l.padding,
                    .dilation = l.dilation,
                    .groups = l.depthwise ? in : 1}};
    if (l.prelu)
      step.epilogue = {.slope = random_tensor({l.out}, DType::F32, ++seed), .activation = Activation::Prelu};
    shape = conv2d_geometry(shape, step.weight.shape(), step.options).y_shape();
    made.steps.push_back(step);
  }
  if (chain.residual) made.steps.back().epilogue.residual = random_tensor(shape, DType::F32, ++seed);
  return made;
}

Tensor one_by_one(const Made& made) {
  Tensor y = made.x;
  for (const Conv2dStep& s : made.steps) y = conv2d_fused(y, s.weight, s.bias, s.options, s.epilogue);
  return y;
}

bool runs_depth_first(const Made& made) {
  std::vector<Conv2dGeometry> geometries;
  for (Shape shape = made.x.shape(); const Conv2dStep& s : made.steps)
    shape = geometries.emplace_back(conv2d_geometry(shape, s.weight.shape(), s.options)).y_shape();
  return cpu::conv2d_chain_fits(geometries, made.x, made.steps);
}

class Conv2dChains : public ::testing::TestWithParam<Chain> {};

TEST_P(Conv2dChains, HasTheBitsOfOneConvolutionAfterTheOther) {
  const NoGradGuard no_grad;
  const Made made = make(GetParam(), 8);
  ASSERT_TRUE(runs_depth_first(made));
  const auto check = [&] { expect_equal_bits(conv2d_chain(made.x, made.steps), one_by_one(made)); };
  for_each_isa([&](cpu::Isa isa) {
    SCOPED_TRACE(to_string(isa));
    if (isa != cpu::Isa::Reference) check();
  });
  for_each_thread_count([&](int) { check(); });
}

INSTANTIATE_TEST_SUITE_P(Chains, Conv2dChains, ::testing::ValuesIn(kChains), [](const auto& info) {
  std::string name = info.param.name;
  std::erase(name, ' ');
  return name;
});

TEST(Conv2dChain, OtherFormsRunOneAfterTheOther) {
  const NoGradGuard no_grad;
  const Made few = make(kChains[0], 3);
  EXPECT_FALSE(runs_depth_first(few));
  expect_equal_bits(conv2d_chain(few.x, few.steps), one_by_one(few));
  Made inner = make({"", 8, 8, 12, {{12}, {12, 3, 1, 1, 1, true}}}, 9);
  inner.steps[0].epilogue.residual = random_tensor({9, 8, 8, 12});
  EXPECT_FALSE(runs_depth_first(inner));
  expect_equal_bits(conv2d_chain(inner.x, inner.steps), one_by_one(inner));
  const Made dense = make({"", 8, 8, 6, {{10, 3, 1, 1}, {7}}}, 9);
  EXPECT_FALSE(runs_depth_first(dense));
  expect_equal_bits(conv2d_chain(dense.x, dense.steps), one_by_one(dense));
  expect_equal_bits(conv2d_chain(dense.x, {}), dense.x);
}

TEST(Conv2dChain, ErrorsOfAnyStep) {
  Made made = make(kChains[0], 9);
  expect_error<UsageError>([&] { conv2d_chain(made.x, made.steps); }, {"conv2d_fused", "NoGradGuard"});
  const NoGradGuard no_grad;
  made.steps[1].epilogue.slope = random_tensor({3});
  expect_error<ShapeError>([&] { conv2d_chain(made.x, made.steps); }, {"PReLU", "[48]"});
}

}  // namespace
}  // namespace tern
