// Optimizers against values printed by PyTorch 2.15 in f64, against the formulas written out here, and their
// promises: a step that fails changes nothing, a state that is saved and loaded goes on with the same bits.

#include "tern/nn/optim.h"

#include <cmath>
#include <functional>
#include <limits>
#include <memory>

#include "tern/ops/creation.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using namespace tern::test;
using Make = std::function<std::unique_ptr<nn::Optimizer>(std::vector<Tensor>)>;

Tensor parameter(std::vector<float> values) {
  Tensor p = Tensor::from_data(values, {static_cast<int64_t>(values.size())});
  return p.set_requires_grad();
}
void set_grad(Tensor p, std::vector<float> values) { p.set_grad(Tensor::from_data(values, p.shape())); }

template <class O, class Options>
Make make(Options options) {
  return [options](std::vector<Tensor> p) { return std::make_unique<O>(std::move(p), options); };
}

// Every instruction set and the naive loops.
void for_each_path(const std::function<void()>& body) {
  for_each_isa([&](cpu::Isa) { body(); });
  const cpu::Isa before = cpu::active_isa();
  cpu::set_isa(cpu::Isa::Reference);
  body();
  cpu::set_isa(before);
}

TEST(Optim, ThreeStepsGiveWhatPyTorchPrints) {
  const std::vector<std::pair<Make, std::vector<double>>> cases{
      {make<nn::Sgd>(nn::SgdOptions{.lr = 0.1, .weight_decay = 0.05}),
       {0.860448625, -1.95577225, 0.4452824375}},
      {make<nn::Sgd>(nn::SgdOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.05}),
       {0.784893625, -1.82716225, -0.0364200625}},
      {make<nn::Sgd>(nn::SgdOptions{.lr = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.05}),
       {0.668016518875, -1.80233178775, -0.0312778736875}},
      {make<nn::Adam>(nn::AdamOptions{.lr = 0.1, .weight_decay = 0.05}),
       {0.793599919011, -1.86576230232, 0.301353876723}},
      {make<nn::AdamW>(
           nn::AdamWOptions{.lr = 0.1, .beta1 = 0.8, .beta2 = 0.9, .eps = 1e-3, .weight_decay = 0.05}),
       {0.797756761183, -1.87160950573, 0.305266103566}}};
  for_each_path([&] {
    for (const auto& [make_optimizer, expected] : cases) {
      Tensor p = parameter({1, -2, 0.5});
      const auto optimizer = make_optimizer({p});
      for (const auto& g : {std::vector<float>{0.5, -1, 2}, {-0.25, 0.75, 1.5}, {1, 0.1f, -3}}) {
        set_grad(p, g);
        optimizer->step();
      }
      const auto values = p.to_vector();
      for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(values[i], expected[i], 4e-7);
      EXPECT_EQ(optimizer->steps(), 3);
    }
  });
}

// p = 1, g = 1, lr 0.1, momentum 0.9, decay 0.1: PyTorch gives 0.89, then 0.6821.
TEST(Optim, SgdKnownValues) {
  Tensor p = parameter({1});
  nn::Sgd sgd({p}, {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.1});
  for (const double expected : {0.89, 0.6821}) {
    set_grad(p, {1});
    sgd.step();
    EXPECT_NEAR(p.item(), expected, 1e-7);
  }
}

// Sizes around the vector and tile lengths, against the naive loops.
TEST(Optim, EveryIsaAgreesWithTheNaiveLoopsOverOddSizes) {
  std::vector<int64_t> sizes;
  for (int64_t n = 1; n <= 40; ++n) sizes.push_back(n);
  sizes.insert(sizes.end(), {kOptimizerTile, kOptimizerTile + 1});
  const auto run = [&](const Make& make_optimizer) {
    std::vector<Tensor> p;
    for (const int64_t n : sizes)
      p.push_back(random_tensor({n}, DType::F32, static_cast<uint64_t>(n)).set_requires_grad());
    const auto optimizer = make_optimizer(p);
    for (uint64_t step = 0; step < 2; ++step) {
      for (size_t i = 0; i < p.size(); ++i)
        p[i].set_grad(random_tensor(p[i].shape(), DType::F32, 1000 * step + i));
      optimizer->step();
    }
    return p;
  };
  for (const Make& m :
       {make<nn::Sgd>(nn::SgdOptions{.lr = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.1}),
        make<nn::Sgd>(nn::SgdOptions{.lr = 0.1}),
        make<nn::AdamW>(nn::AdamWOptions{.lr = 0.1, .clip_norm = 1})}) {
    const cpu::Isa before = cpu::active_isa();
    cpu::set_isa(cpu::Isa::Reference);
    const auto exact = run(m);
    cpu::set_isa(before);
    for_each_isa([&](cpu::Isa) {
      const auto fast = run(m);
      for (size_t i = 0; i < fast.size(); ++i) {
        const auto a = fast[i].to_vector(), b = exact[i].to_vector();
        for (size_t k = 0; k < a.size(); ++k) ASSERT_NEAR(a[k], b[k], 1e-6) << sizes[i];
      }
    });
  }
}

TEST(Optim, SameBitsForAnyNumberOfThreads) {
  std::vector<Tensor> first;
  double first_norm = 0;
  for_each_thread_count([&](int threads) {
    std::vector<Tensor> p{random_tensor({300, 401}).set_requires_grad(),
                          random_tensor({77}).set_requires_grad()};
    nn::AdamW optimizer(p, {.clip_norm = 0.5});
    for (auto& t : p) t.set_grad(random_tensor(t.shape(), DType::F32, 5));
    const double norm = optimizer.step();
    if (threads == 1) first = p, first_norm = norm;
    EXPECT_EQ(norm, first_norm);
    for (size_t i = 0; i < p.size(); ++i) expect_equal_bits(p[i], first[i]);
  });
}

TEST(Optim, NormIsTakenInF64AndClippingScalesAsPyTorchDoes) {
  Tensor p = parameter({1, 2}), q = parameter({0});
  nn::Sgd sgd({p, q}, {.lr = 1, .clip_norm = 2});
  set_grad(p, {3, 4});
  EXPECT_DOUBLE_EQ(sgd.grad_norm(), 5);
  EXPECT_DOUBLE_EQ(sgd.step(), 5);  // before clipping
  EXPECT_NEAR(p.to_vector()[0], 1 - 1.2, 1e-6);
  EXPECT_NEAR(p.to_vector()[1], 2 - 1.6, 1e-6);
  set_grad(p, {3e30f, 4e30f});  // the square overflows f32
  EXPECT_NEAR(sgd.step() / 5e30, 1, 1e-6);
  set_grad(p, {0.3f, 0.4f});  // below the limit: exactly as it is
  const double before = p.to_vector()[0];
  sgd.step();
  EXPECT_EQ(static_cast<float>(p.to_vector()[0]), static_cast<float>(before) - 0.3f);
}

TEST(Optim, AGradientThatIsNotFiniteChangesNothing) {
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    Tensor a = parameter({1, 2}).set_name("encoder.conv1.weight"), b = parameter({3});
    b.set_name("encoder.conv2.weight");
    nn::Sgd sgd({a, b}, {.lr = 0.1, .momentum = 0.9});
    set_grad(a, {1, 1});
    set_grad(b, {1});
    sgd.step();
    const auto before = a.to_vector();
    const uint64_t version = a.version();
    const auto state = sgd.state();
    set_grad(b, {bad});
    expect_error<NumericError>([&] { sgd.step(); }, {"encoder.conv2.weight", "not finite", "step 1"});
    EXPECT_EQ(a.to_vector(), before);
    EXPECT_EQ(a.version(), version);
    EXPECT_EQ(sgd.steps(), 1);
    for (const auto& [name, tensor] : sgd.state()) expect_equal_bits(tensor, state.at(name));
  }
}

TEST(Optim, FrozenParametersAndMissingGradientsAreSkipped) {
  Tensor a = parameter({1}), frozen = Tensor::from_data(std::vector<float>{5}, {1}), unused = parameter({7});
  nn::AdamW optimizer({a, frozen, unused}, {.lr = 0.1, .weight_decay = 0.5});
  const uint64_t version = unused.version(), version_a = a.version();
  set_grad(a, {1});
  optimizer.step();
  EXPECT_LT(a.item(), 1);
  EXPECT_GT(a.version(), version_a);
  EXPECT_EQ(frozen.item(), 5);
  EXPECT_EQ(unused.item(), 7);  // no decay either
  EXPECT_EQ(unused.version(), version);

  // Its first update is its own step 1: Adam's first step is lr, whatever the gradient.
  set_grad(unused, {0.001f});
  optimizer.step();
  EXPECT_NEAR(unused.item(), 7 * (1 - 0.1 * 0.5) - 0.1, 1e-5);
}

TEST(Optim, GroupsHaveTheirOwnRateAndDecay) {
  Tensor a = parameter({1}), b = parameter({1});
  nn::Sgd sgd(std::vector<nn::ParameterGroup>{{.parameters = {a}},
                                              {.parameters = {b}, .lr_scale = 0.5, .weight_decay = 0.0}},
              {.lr = 0.1, .weight_decay = 1});
  set_grad(a, {1});
  set_grad(b, {1});
  sgd.step();
  EXPECT_NEAR(a.item(), 1 - 0.1 * 2, 1e-7);
  EXPECT_NEAR(b.item(), 1 - 0.05, 1e-7);
  sgd.set_lr(0);
  sgd.step();
  EXPECT_NEAR(b.item(), 1 - 0.05, 1e-7);
}

TEST(Optim, SavedAndLoadedStateGoesOnWithTheSameBits) {
  const auto start = [] {
    return std::vector<Tensor>{random_tensor({5, 3}).set_requires_grad().set_name("a"),
                               random_tensor({4}, DType::F32, 2).set_requires_grad().set_name("b")};
  };
  const auto step = [](std::vector<Tensor>& p, nn::Optimizer& o, uint64_t seed) {
    for (auto& t : p) t.set_grad(random_tensor(t.shape(), DType::F32, seed));
    o.step();
  };
  for (const Make& m :
       {make<nn::AdamW>(nn::AdamWOptions{}), make<nn::Sgd>(nn::SgdOptions{.momentum = 0.9})}) {
    auto p = start(), q = start();
    const auto whole = m(p), half = m(q);
    step(p, *whole, 1), step(p, *whole, 2), step(p, *whole, 3);
    step(q, *half, 1), step(q, *half, 2);
    std::vector<Tensor> r{q[0].clone().set_requires_grad().set_name("a"),
                          q[1].clone().set_requires_grad().set_name("b")};
    const auto resumed = m(r);
    resumed->load_state(half->state());
    EXPECT_EQ(resumed->steps(), 2);
    step(r, *resumed, 3);
    for (size_t i = 0; i < p.size(); ++i) expect_equal_bits(r[i], p[i]);
    for (const auto& [name, tensor] : whole->state()) expect_equal_bits(resumed->state().at(name), tensor);
  }
}

TEST(Optim, StateThatDoesNotFitIsRefusedWhole) {
  Tensor p = parameter({1, 2});
  p.set_name("w");
  nn::Sgd sgd({p}, {.momentum = 0.9});
  auto state = sgd.state();
  EXPECT_TRUE(state.contains("momentum.w"));
  auto missing = state, unknown = state, misshapen = state;
  missing.erase("momentum.w");
  unknown["momentum.v"] = zeros({2});
  misshapen["momentum.w"] = zeros({3});
  expect_error<IncompatibleError>([&] { sgd.load_state(missing); }, {"momentum.w"});
  expect_error<IncompatibleError>([&] { sgd.load_state(unknown); }, {"momentum.v"});
  expect_error<IncompatibleError>([&] { sgd.load_state(misshapen); }, {"[3]", "[2]"});
}

TEST(Optim, ConstructionRefusesWhatCannotBeTrained) {
  Tensor p = parameter({1, 2});
  p.set_name("fc.weight");
  expect_error<UsageError>([] { nn::Sgd(std::vector<Tensor>{}); }, {"empty"});
  expect_error<UsageError>([&] { nn::Sgd({p, p}); }, {"fc.weight", "twice"});
  expect_error<UsageError>(
      [&] {
        nn::Sgd(std::vector<nn::ParameterGroup>{{.parameters = {p}}, {.parameters = {p}}});
      },
      {"twice"});
  expect_error<DTypeError>([] { nn::Sgd({zeros({2}, {.dtype = DType::F64})}); }, {"f64"});
  expect_error<UsageError>([&] { nn::Sgd({p}, {.lr = -1}); }, {"lr", "-1"});
  expect_error<UsageError>([&] { nn::Sgd({p}, {.nesterov = true}); }, {"nesterov"});
  expect_error<UsageError>([&] { nn::Sgd({p}).step(); }, {"no parameter has a gradient", "hint"});
}

TEST(Optim, AnOptimizerWhoseParametersWereTakenByAnotherSaysSo) {
  Tensor p = parameter({1});
  nn::Sgd first({p}), second({p});
  set_grad(p, {1});
  expect_error<UsageError>([&] { first.step(); }, {"moved"});
  second.step();
}

TEST(Optim, ZeroGradClears) {
  Tensor w = parameter({0});
  nn::Sgd sgd({w}, {.lr = 0.1});
  set_grad(w, {1});
  sgd.zero_grad();
  EXPECT_FALSE(w.grad().defined());
  EXPECT_EQ(sgd.grad_norm(), 0);
}

}  // namespace
}  // namespace tern
