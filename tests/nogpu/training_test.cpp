// Whole training steps on the stand-ins against the CPU: a small residual siamese net on fixed triplets, a
// run of the Trainer with batches mined on the device, checkpoints that go from one device to the other.

#include <gtest/gtest.h>

#include "tern/core/allocator.h"
#include "tern/nn/conv_bn.h"
#include "tern/nn/init.h"
#include "tern/nn/layers.h"
#include "tern/nn/optim.h"
#include "tern/nn/siamese.h"
#include "tern/nn/state_dict.h"
#include "tern/ops/l2_normalize.h"
#include "tern/ops/pool2d.h"
#include "tern/ops/triplet_margin_loss.h"
#include "tern/tests/nogpu/cudart.h"
#include "tern/tests/nogpu/library_test.h"
#include "tern/tests/nogpu/parity.h"
#include "tern/tests/train/tiny.h"
#include "tern/train/trainer.h"

namespace tern::test {
namespace {

class NoGpuTraining : public nogpu::CudnnTest {};

// A stem, one residual block, a head.
struct ResidualNet final : nn::Module {
  nn::Conv2d stem{{.in = 3, .out = 8, .kernel = 3, .padding = 1, .bias = false}};
  nn::BatchNorm2d bn0{{.channels = 8}};
  nn::Conv2d conv1{{.in = 8, .out = 8, .kernel = 3, .padding = 1, .bias = false}};
  nn::BatchNorm2d bn1{{.channels = 8}};
  nn::Conv2d conv2{{.in = 8, .out = 8, .kernel = 3, .padding = 1}};
  nn::BatchNorm2d bn2{{.channels = 8}};
  nn::Linear fc{{.in = 8, .out = 8}};

  Tensor forward(const Tensor& x) override {
    const Tensor y = max_pool2d(relu(bn0(stem(x))), {.kernel = 2});
    const Tensor z = bn2(conv2(relu(bn1(conv1(y)))), nn::BatchNormFollowers{.residual = y, .relu = true});
    return l2_normalize(fc(global_avg_pool2d(z)));
  }
  void visit(nn::Visitor& v) override {
    v.child("stem", stem), v.child("bn0", bn0), v.child("conv1", conv1), v.child("bn1", bn1);
    v.child("conv2", conv2), v.child("bn2", bn2), v.child("fc", fc);
  }
};

struct TrainedRun {
  std::vector<double> losses;
  nn::TensorMap weights;
};

// Steps on three photos of four triplets each.
TrainedRun train_on_triplets(Device device, int steps) {
  nn::Siamese net = [] {
    const nn::InitScope seed(3);
    return nn::Siamese(std::make_shared<ResidualNet>());
  }();
  net.to(device);
  nn::Sgd optimizer(net.parameters(), {.lr = 0.05, .momentum = 0.9});
  const Tensor a = random_tensor({4, 8, 8, 3}, DType::F32, 11).to(device),
               p = random_tensor({4, 8, 8, 3}, DType::F32, 12).to(device),
               n = random_tensor({4, 8, 8, 3}, DType::F32, 13).to(device);
  TrainedRun run;
  for (int step = 0; step < steps; ++step) {
    optimizer.zero_grad();
    const auto [ea, ep, en] = net(a, p, n);
    const Tensor loss = triplet_margin_loss(ea, ep, en, {.margin = 0.5});
    loss.backward();
    optimizer.step();
    run.losses.push_back(loss.item());
  }
  run.weights = nn::state_dict(net);
  return run;
}

TEST_F(NoGpuTraining, OneStepOnTripletsGivesTheSameParameters) {
  const TrainedRun cpu = train_on_triplets(kCpu, 1), gpu = train_on_triplets(kCuda, 1);
  for (const auto& [name, expected] : cpu.weights) {
    SCOPED_TRACE(name);
    expect_close(gpu.weights.at(name), expected, 1e-5);
  }
}

TEST_F(NoGpuTraining, TwentyStepsOnTripletsGiveTheSameLosses) {
  const TrainedRun cpu = train_on_triplets(kCpu, 20), gpu = train_on_triplets(kCuda, 20);
  for (size_t i = 0; i < cpu.losses.size(); ++i) EXPECT_NEAR(gpu.losses[i], cpu.losses[i], 1e-4) << i;
  EXPECT_LT(cpu.losses.back(), cpu.losses.front());
}

// After some steps memory comes from the allocator alone.
TEST_F(NoGpuTraining, SteadyStepsAskTheDriverForNothing) {
  train_on_triplets(kCuda, 2);
  const int64_t asked = nogpu::cuda_mallocs();
  train_on_triplets(kCuda, 2);
  EXPECT_EQ(nogpu::cuda_mallocs(), asked);
}

TrainOptions options_on(Device device) {
  TrainOptions options = tiny_options(3);
  options.p = 4, options.k = 2;
  options.device = device;
  return options;
}

// Batches uploaded as 8-bit pixels, augmented and mined on the device.
TEST_F(NoGpuTraining, TheTrainerMinesTheSameTriplets) {
  const TinyPeople people(6, 4);
  const auto on_cpu = tiny_net(), on_gpu = tiny_net();
  Trainer cpu(*on_cpu, people, nullptr, options_on(kCpu)), gpu(*on_gpu, people, nullptr, options_on(kCuda));
  const StepInfo a = cpu.step(), b = gpu.step();
  EXPECT_NEAR(a.loss, b.loss, 1e-5);
  EXPECT_EQ(a.stats().valid, b.stats().valid);
  EXPECT_EQ(a.stats().active, b.stats().active);
  EXPECT_NEAR(a.grad_norm, b.grad_norm, 1e-4 * a.grad_norm);
}

TEST_F(NoGpuTraining, CheckpointsMoveBetweenDevices) {
  const TinyPeople people(6, 4);
  const std::string folder = scratch_folder();
  const auto first = tiny_net(), second = tiny_net();
  TrainOptions options = options_on(kCuda);
  options.run_directory = folder + "/run";
  options.stop = [] { return true; };
  EXPECT_EQ(Trainer(*first, people, nullptr, options).run().status, RunStatus::Interrupted);
  options.stop = {};
  options.device = kCpu;
  options.resume = options.run_directory;
  Trainer resumed(*second, people, nullptr, options);
  EXPECT_EQ(resumed.steps_done(), 1);
  const auto a = nn::state_dict(*first), b = nn::state_dict(*second);
  for (const auto& [name, tensor] : a) expect_equal_bits(b.at(name), tensor);
  EXPECT_EQ(resumed.run().status, RunStatus::Finished);
  std::filesystem::remove_all(folder);
}

TEST_F(NoGpuTraining, AStepWithoutMemoryChangesNothing) {
  const TinyPeople people(6, 4);
  const auto net = tiny_net();
  Trainer trainer(*net, people, nullptr, options_on(kCuda));
  trainer.step();
  const auto before = nn::state_dict(*net);
  fail_allocation_for_test(40);
  EXPECT_THROW(trainer.step(), MemoryError);
  fail_allocation_for_test(0);
  for (const auto& [name, tensor] : nn::state_dict(*net)) expect_equal_bits(tensor, before.at(name));
  EXPECT_EQ(trainer.steps_done(), 1);
  trainer.step();
}

}  // namespace
}  // namespace tern::test
