// cuDNN plans every graph form of the framework for GPUs that are not there. What is asserted: cuDNN supports
// it, the plan keeps the policy (no TF32 unless asked for, tensor cores where the arithmetic wants them), and
// the workspace is under its cap. What is not: speed, and that the described GPUs answer like real ones.
//
// Runtime-compiled plans take about half a second each; CI plans them for a few shapes, table.cpp for all.

#include <gtest/gtest.h>

#include "tern/core/error.h"
#include "tern/tests/nogpu/planning/planning.h"
#include "tern/tests/nogpu/tally.h"
#include "tern/tests/support/tensors.h"

namespace nogpu {
namespace {

using dnn::Form;
using tern::Conv2dGeometry;
using tern::DType;

// Plans one problem and reports what is wrong.
void expect_plan(const dnn::Target& target, Form form, Numbers numbers, const Conv2dGeometry& conv) {
  const dnn::Problem problem = problem_of(form, numbers, conv);
  if (!is_used(problem)) return;
  const dnn::Policy policy{.tf32 = numbers == Numbers::Tf32};
  try {
    const dnn::Plan plan = dnn::make_plan(target, problem, policy);
    EXPECT_EQ(violation(problem, policy, plan), "") << dnn::to_string(problem) << " on " << target.name();
    tally("form", std::string(dnn::to_string(form)));
    tally("plan", dnn::to_string(problem) + (policy.tf32 ? " tf32 on " : " on ") + target.name());
  } catch (const tern::Error& error) {
    ADD_FAILURE() << error.what();
  }
}

// Evenly spread over the zoo: the stem, dense and depthwise ones, large and small.
std::vector<Conv2dGeometry> some_of_the_zoo(size_t count) {
  const auto all = zoo();
  std::vector<Conv2dGeometry> result;
  for (size_t i = 0; i < count; ++i) result.push_back(all[i * (all.size() - 1) / (count - 1)]);
  return result;
}

// ---- H100, the forms that are compiled into cuDNN, every convolution of the zoo ----

class NoGpuPlansH100 : public testing::TestWithParam<std::tuple<Form, Numbers>> {
 protected:
  dnn::Target target_{dnn::described_gpu(90)};
};

TEST_P(NoGpuPlansH100, EveryConvolutionOfTheZoo) {
  const auto [form, numbers] = GetParam();
  for (const Conv2dGeometry& conv : zoo()) expect_plan(target_, form, numbers, conv);
}

constexpr auto kName = [](const auto& info) {
  return std::string(dnn::to_string(std::get<0>(info.param))) + "_" + to_string(std::get<1>(info.param));
};
INSTANTIATE_TEST_SUITE_P(F32, NoGpuPlansH100,
                         testing::Combine(testing::ValuesIn(kConvolutionForms),
                                          testing::Values(Numbers::F32, Numbers::Tf32)),
                         kName);
INSTANTIATE_TEST_SUITE_P(Bf16, NoGpuPlansH100,
                         testing::Combine(testing::Values(Form::ConvForward, Form::ConvBackwardData),
                                          testing::Values(Numbers::Bf16)),
                         kName);

// ---- H100, the forms that cuDNN compiles at run time ----

class NoGpuPlansH100RuntimeCompiled : public testing::TestWithParam<Form> {
 protected:
  dnn::Target target_{dnn::described_gpu(90)};
};
class NoGpuPlansH100Bf16Convolution : public NoGpuPlansH100RuntimeCompiled {};

constexpr auto kFormName = [](const auto& info) { return std::string(dnn::to_string(info.param)); };

// Every second shape in f32.
TEST_P(NoGpuPlansH100RuntimeCompiled, SixShapes) {
  bool bf16 = true;
  for (const Conv2dGeometry& conv : some_of_the_zoo(6)) {
    expect_plan(target_, GetParam(), bf16 ? Numbers::Bf16 : Numbers::F32, conv);
    bf16 = !bf16;
  }
}
INSTANTIATE_TEST_SUITE_P(Other, NoGpuPlansH100RuntimeCompiled, testing::ValuesIn(kOtherForms), kFormName);

TEST_P(NoGpuPlansH100Bf16Convolution, SixShapes) {
  for (const Conv2dGeometry& conv : some_of_the_zoo(6)) expect_plan(target_, GetParam(), Numbers::Bf16, conv);
}
INSTANTIATE_TEST_SUITE_P(Convolution, NoGpuPlansH100Bf16Convolution,
                         testing::Values(Form::ConvBias, Form::ConvBiasRelu, Form::ConvBackwardWeight),
                         kFormName);

// ---- the other architectures ----

class NoGpuPlansOn : public testing::TestWithParam<std::tuple<int, Numbers>> {};

TEST_P(NoGpuPlansOn, EveryFormOnThreeShapes) {
  const auto [architecture, numbers] = GetParam();
  const dnn::Target target(dnn::described_gpu(architecture));
  for (const Conv2dGeometry& conv : some_of_the_zoo(3)) {
    for (const Form form : kConvolutionForms) expect_plan(target, form, numbers, conv);
    if (numbers == Numbers::F32) continue;  // of the others, both number types are the table's
    for (const Form form : kOtherForms) expect_plan(target, form, numbers, conv);
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, NoGpuPlansOn,
                         testing::Combine(testing::Values(80, 86, 100, 120),
                                          testing::Values(Numbers::F32, Numbers::Bf16)),
                         [](const auto& info) {
                           return "sm" + std::to_string(std::get<0>(info.param)) + "_" +
                                  to_string(std::get<1>(info.param));
                         });

// ---- the policy, and what must be refused ----

class NoGpuPlanPolicy : public testing::Test {
 protected:
  static Conv2dGeometry geometry(int64_t size = 14) {
    return tern::test::geometry_of({"", 1, size, 128, 128, 3, 1, 1, 1}, kBatch);
  }
  dnn::Target target_{dnn::described_gpu(90)};
};

// cuDNN's first proposal for this convolution has no tensor cores and 37 MiB of workspace.
TEST_F(NoGpuPlanPolicy, TakesTensorCoresThatAreNotProposedFirst) {
  const auto conv = tern::test::geometry_of({"", 1, 28, 64, 128, 1, 2, 0, 1}, 256);
  const auto plan = dnn::make_plan(target_, {Form::ConvForward, DType::BF16, conv}, {});
  EXPECT_TRUE(plan.notes().tensor_cores);
}

TEST_F(NoGpuPlanPolicy, KeepsTheWorkspaceUnderItsCap) {
  const dnn::Problem problem{Form::ConvForward, DType::F32, geometry(56)};
  EXPECT_GT(dnn::make_plan(target_, problem, {}).workspace(), 1 << 20);
  EXPECT_LE(dnn::make_plan(target_, problem, {.workspace_cap = 1 << 20}).workspace(), 1 << 20);
}

TEST_F(NoGpuPlanPolicy, DeterministicPlansAreDeterministic) {
  for (const Form form : kConvolutionForms)
    for (const bool tf32 : {false, true}) {
      const dnn::Policy policy{.tf32 = tf32, .deterministic = true};
      for (const auto& plan : dnn::make_plans(target_, {form, DType::F32, geometry()}, policy, 4))
        EXPECT_FALSE(plan.notes().nondeterministic);
    }
}

TEST_F(NoGpuPlanPolicy, SeveralPlansAreDifferentOnes) {
  const auto plans =
      dnn::make_plans(target_, {Form::ConvBackwardWeight, DType::F32, geometry()}, {.tf32 = true}, 6);
  ASSERT_EQ(plans.size(), 6u);
  for (size_t i = 0; i < plans.size(); ++i)
    for (size_t j = 0; j < i; ++j) EXPECT_FALSE(plans[i].engine() == plans[j].engine());
}

TEST_F(NoGpuPlanPolicy, AnEngineIsFoundAgainByItsName) {
  const dnn::Problem problem{Form::ConvForward, DType::BF16, geometry()};
  const auto plan = dnn::make_plan(target_, problem, {});
  dnn::Engine engine;
  ASSERT_TRUE(dnn::parse_engine(dnn::to_string(plan.engine()), engine));
  EXPECT_EQ(engine, plan.engine());
  const auto again = dnn::make_named_plan(target_, problem, {}, engine);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].engine(), engine);
  EXPECT_EQ(again[0].workspace(), plan.workspace());
  EXPECT_TRUE(dnn::make_named_plan(target_, problem, {}, {.index = 99999, .knobs = {}}).empty());
  EXPECT_FALSE(dnn::parse_engine("twelve", engine));
  EXPECT_FALSE(dnn::parse_engine("12 3:4", engine));
}

TEST_F(NoGpuPlanPolicy, RefusesWhatCannotBeComputed) {
  using tern::test::expect_error;
  Conv2dGeometry wrong = geometry();
  wrong.out_h -= 1;
  expect_error<tern::DeviceError>(
      [&] {
        dnn::make_plan(target_, {Form::ConvForward, DType::F32, wrong}, {});
      },
      {"cudnn"});
  expect_error<tern::DeviceError>(
      [&] {
        dnn::make_plan(target_, {Form::ConvForward, DType::F32, geometry()}, {.workspace_cap = -1});
      },
      {"conv_forward f32 64x14x14x128 w128x3x3x128", "H100", "hint"});
  expect_error<tern::UsageError>([] { dnn::described_gpu(75); }, {"sm_75"});
  dnn::GpuDescription unknown = dnn::described_gpu(90);
  unknown.architecture = 77;
  expect_error<tern::DeviceError>(
      [&] {
        dnn::make_plan(dnn::Target(unknown), {Form::ConvForward, DType::BF16, geometry()}, {});
      },
      {"cudnn"});
}

}  // namespace
}  // namespace nogpu
