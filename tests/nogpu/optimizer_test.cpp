// The optimizers on the device: the bits of the CPU's kernels without fused multiply-add, and a step that
// waits for nothing.

#include "tern/nn/optim.h"

#include <cmath>
#include <functional>
#include <limits>
#include <memory>

#include "tern/tests/nogpu/cudart.h"
#include "tern/tests/nogpu/parity.h"

namespace tern::test {
namespace {

using Make = std::function<std::unique_ptr<nn::Optimizer>(std::vector<nn::ParameterGroup>)>;
template <class O, class Options>
Make make(Options options) {
  return [options](std::vector<nn::ParameterGroup> groups) {
    return std::make_unique<O>(std::move(groups), options);
  };
}
const std::vector<Make> kOptimizers = {
    make<nn::Sgd>(nn::SgdOptions{.lr = 0.1, .weight_decay = 0.05}),
    make<nn::Sgd>(nn::SgdOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.05}),
    make<nn::Sgd>(nn::SgdOptions{.lr = 0.1, .momentum = 0.9, .nesterov = true}),
    make<nn::Adam>(nn::AdamOptions{.lr = 0.01, .weight_decay = 0.05}),
    make<nn::AdamW>(nn::AdamWOptions{.lr = 0.01, .beta1 = 0.8, .eps = 1e-3})};

// Parameters of these sizes in two groups, and their optimizer.
const std::vector<int64_t> kCounts = {
    1, 3, 4, 5, 0, 1023, 1025, 4099, kOptimizerTile - 1, kOptimizerTile + 1};
struct Training {
  Training(Device device, const Make& make) : device(device) {
    std::vector<nn::ParameterGroup> groups(2);
    for (size_t i = 0; i < kCounts.size(); ++i) {
      parameters.push_back(random_tensor({kCounts[i]}, DType::F32, 40 + i).to(device));
      parameters.back().set_requires_grad().set_name(concat_text("p", static_cast<int64_t>(i)));
      groups[i % 2].parameters.push_back(parameters.back());
    }
    groups[1].lr_scale = 0.5;
    groups[1].weight_decay = 0.01;
    optimizer = make(std::move(groups));
  }
  // A parameter that has no gradient in some steps: then its number of updates is another one.
  double step(uint64_t number, double clip = 0) {
    optimizer->set_clip_norm(clip);
    for (size_t i = 0; i < parameters.size(); ++i) {
      parameters[i].clear_grad();
      if (i == 5 && number == 1) continue;
      parameters[i].set_grad(random_tensor({kCounts[i]}, DType::F32, 100 * number + i).to(device));
    }
    return optimizer->step();
  }
  Tensors values() const {
    Tensors all;
    for (const Tensor& p : parameters) all.push_back(p.detach().to(kCpu));
    for (const auto& [name, tensor] : optimizer->state()) all.push_back(tensor.to(kCpu));
    return all;
  }
  Device device;
  Tensors parameters;
  std::unique_ptr<nn::Optimizer> optimizer;
};

class Baseline {
 public:
  Baseline() { cpu::set_isa(cpu::Isa::Baseline); }
  ~Baseline() { cpu::set_isa(before_); }

 private:
  cpu::Isa before_ = cpu::active_isa();
};

TEST(NoGpuOptimizer, HasTheBitsOfTheCpu) {
  const Baseline baseline;
  for (size_t k = 0; k < kOptimizers.size(); ++k) {
    SCOPED_TRACE(testing::Message() << "optimizer " << k);
    Training here(kCpu, kOptimizers[k]);
    for (uint64_t number = 0; number < 3; ++number) here.step(number);
    const Tensors expected = here.values();
    for_each_thread_order([&] {
      Training there(kCuda, kOptimizers[k]);
      for (uint64_t number = 0; number < 3; ++number) there.step(number);
      const Tensors got = there.values();
      ASSERT_EQ(got.size(), expected.size());
      for (size_t i = 0; i < got.size(); ++i) expect_equal_bits(got[i], expected[i]);
    });
  }
}

TEST(NoGpuOptimizer, ClipsToTheNormOfTheCpu) {
  const Baseline baseline;
  Training here(kCpu, kOptimizers[1]), there(kCuda, kOptimizers[1]);
  const double expected = here.step(0, 0.25), got = there.step(0, 0.25);
  EXPECT_NEAR(got, expected, 1e-12 * expected);
  const Tensors a = there.values(), b = here.values();
  for (size_t i = 0; i < a.size(); ++i) expect_close(a[i], b[i], 1e-6);
}

TEST(NoGpuOptimizer, AGradientThatIsNotFiniteChangesNothing) {
  for (const Make& make : {kOptimizers[1], kOptimizers[3]}) {
    Training there(kCuda, make);
    there.step(0);
    const Tensors before = there.values();
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      for (size_t i = 0; i < kCounts.size(); ++i) {
        const Tensor gradient = random_tensor({kCounts[i]}, DType::F32, i);
        if (i == 7) gradient.mutable_data<float>()[4000] = bad;
        there.parameters[i].set_grad(gradient.to(kCuda));
      }
      expect_error<NumericError>([&] { there.optimizer->step(); }, {"p7", "not finite at step 1"});
      const Tensors after = there.values();
      for (size_t i = 0; i < before.size(); ++i) expect_equal_bits(after[i], before[i]);
    }
    EXPECT_EQ(there.optimizer->steps(), 1);
  }
}

// The table of tiles goes to the device once; after that a step only queues its kernels.
TEST(NoGpuOptimizer, ASteadyStepWaitsForNothing) {
  const TensorOptions there{DType::F32, kCuda};
  const Tensor gradient = random_tensor({kOptimizerTile + 7}).to(kCuda);
  Tensor parameters = random_tensor({kOptimizerTile + 16}).to(kCuda),
         momentum = Tensor::empty(parameters.shape(), there);
  momentum.fill(0);
  const Tensor rules = Tensor::empty({1, kRuleNumbers}, {DType::F64, kCuda});
  GradientTiles tiles;
  const auto step = [&] {
    tiles.clear();
    tiles.append(gradient, 0, 0);
    tiles.commit(kCuda);
    write_rule(SgdUpdate{.lr = 0.1, .momentum = 0.9}, rules);
    const GradientNorm norm = gradient_norm(tiles, 1);
    sgd_step({tiles, 0, 2, rules, norm.total}, parameters, momentum);
  };
  step();
  step();
  const int64_t asked = nogpu::cuda_mallocs();
  for (int i = 0; i < 3; ++i) {
    const int64_t queued = nogpu::queued_operations();
    step();
    // rules, sums, norm, update: nothing has run, nothing was sent
    EXPECT_EQ(nogpu::queued_operations(), queued + 4);
  }
  EXPECT_EQ(nogpu::cuda_mallocs(), asked);
  EXPECT_TRUE(std::isfinite(parameters.to_vector()[0]));
}
TEST(NoGpuOptimizer, TilesThatMoveAreSentAgain) {
  GradientTiles tiles;
  const Tensor a = random_tensor({10}).to(kCuda), b = random_tensor({20}).to(kCuda);
  const auto norm_of = [&](const Tensor& gradient) {
    tiles.clear();
    tiles.append(gradient, 0, 0);
    tiles.commit(kCuda);
    return gradient_norm(tiles, 0).total.to_vector()[0];
  };
  double expected = 0;
  for (const double v : b.to_vector()) expected += v * v;
  norm_of(a);
  EXPECT_NEAR(norm_of(b), std::sqrt(expected), 1e-12);
}

}  // namespace
}  // namespace tern::test
