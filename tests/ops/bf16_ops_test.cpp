// Operations on bf16 activations: the f32 operation on the same values (which has its own oracles), rounded
// once.

#include <gtest/gtest.h>

#include "tern/core/autograd.h"
#include "tern/ops/augment.h"
#include "tern/ops/batch_triplet_loss.h"
#include "tern/ops/compare.h"
#include "tern/ops/creation.h"
#include "tern/ops/dropout.h"
#include "tern/ops/l2_normalize.h"
#include "tern/ops/pointwise.h"
#include "tern/ops/pointwise_nodes.h"
#include "tern/ops/pool2d.h"
#include "tern/ops/reduce.h"
#include "tern/ops/shape_ops.h"
#include "tests/ops/pointwise_table.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using namespace test;
using Inputs = std::vector<Tensor>;
using Function = std::function<Tensor(const Inputs&)>;

Tensor activation(const Shape& shape, uint64_t seed) {
  return random_tensor(shape, DType::F32, seed).to(DType::BF16);
}

// Gradients that are computed from a rounded y, or added up after rounding.
constexpr double kRoundedTwice = 0.016;

// f on bf16 inputs and its gradients, against f on the same values in f32: the same bits, or gradients within
// a tolerance.
void expect_rounded(const Function& f, const Inputs& inputs, const std::string& name, double tolerance = 0) {
  Inputs narrow, wide;
  for (const Tensor& x : inputs) {
    narrow.push_back(x.clone().set_requires_grad(true));
    wide.push_back(x.to(DType::F32).detach().set_requires_grad(true));
  }
  const Tensor y = f(narrow), expected = f(wide);
  ASSERT_EQ(y.dtype(), DType::BF16) << name;
  EXPECT_TRUE(equal_bits(y.detach(), expected.detach().to(DType::BF16))) << name;
  const Tensor dy = activation(y.shape(), 77);
  y.backward(dy);
  expected.backward(dy.to(DType::F32));
  for (size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_EQ(narrow[i].grad().dtype(), DType::BF16) << name;
    const Tensor got = narrow[i].grad(), want = wide[i].grad().to(DType::BF16);
    EXPECT_TRUE(tolerance == 0 ? equal_bits(got, want) : close(got, want, tolerance))
        << name << " input " << i;
  }
}

void on_every_isa(const std::function<void()>& body) {
  for_each_isa([&](cpu::Isa) { body(); });
  const cpu::Isa before = cpu::active_isa();
  cpu::set_isa(cpu::Isa::Reference);
  body();
  cpu::set_isa(before);
}

TEST(Bf16Ops, EveryPointwiseFormula) {
  on_every_isa([] {
    for (const int64_t n : {1, 7, 33, 100}) {
      for_each_formula(UnaryFormulas{}, [&](const auto& f) {
        const Tensor x = abs(activation({n}, 3)).to(DType::F32);
        expect_rounded([&](const Inputs& in) { return unary(f, in[0]); }, {(x + 0.125).to(DType::BF16)},
                       key_of(f), f.kSaves == Saves::Output ? kRoundedTwice : 0);
      });
    }
  });
}

TEST(Bf16Ops, EveryBinaryFormulaBroadcasts) {
  on_every_isa([] {
    for_each_formula(BinaryFormulas{}, [&](const auto& f) {
      for (const auto& [a, b] : {std::pair<Shape, Shape>{{37}, {37}}, {{5, 21}, {5, 21}}}) {
        expect_rounded([&](const Inputs& in) { return binary(f, in[0], in[1]); },
                       {activation(a, 4), activation(b, 5)}, key_of(f));
      }
      for (const auto& [a, b] :
           {std::pair<Shape, Shape>{{5, 21}, {21}}, {{3, 4, 5}, {3, 1, 5}}, {{6, 3}, {6, 1}}, {{9}, {1}}}) {
        const Tensor x = activation(a, 4), y = activation(b, 5);
        expect_equal_bits(binary(f, x, y), binary(f, x.to(DType::F32), y.to(DType::F32)).to(DType::BF16));
        expect_equal_bits(binary(f, y, x), binary(f, y.to(DType::F32), x.to(DType::F32)).to(DType::BF16));
      }
    });
  });
}

TEST(Bf16Ops, AnActivationMeetsAnF32Parameter) {
  Tensor x = activation({6, 5}, 1), w = random_tensor({5}, DType::F32, 2);
  x.set_requires_grad(true), w.set_requires_grad(true);
  const Tensor y = x * w;
  ASSERT_EQ(y.dtype(), DType::BF16);
  expect_equal_bits(y.detach(), (x.detach().to(DType::F32) * w.detach()).to(DType::BF16));
  const Tensor dy = activation({6, 5}, 3);
  y.backward(dy);
  EXPECT_EQ(x.grad().dtype(), DType::BF16);
  EXPECT_EQ(w.grad().dtype(), DType::F32);
  expect_equal_bits(w.grad(), sum(dy.to(DType::F32) * x.detach().to(DType::F32), 0));
  expect_error<DTypeError>([&] { add(x, ones({5}, {.dtype = DType::F64})); }, {"bf16", "f64"});
}

TEST(Bf16Ops, Pools) {
  on_every_isa([] {
    for (const Shape& shape : {Shape{2, 7, 6, 5}, Shape{1, 5, 5, 37}, Shape{3, 4, 9, 16}}) {
      const Inputs x = {activation(shape, 6)};
      expect_rounded(
          [](const Inputs& in) { return max_pool2d(in[0], {.kernel = 3, .stride = 2, .padding = 1}); }, x,
          "max_pool2d");
      expect_rounded([](const Inputs& in) { return avg_pool2d(in[0], {.kernel = 2}); }, x, "avg_pool2d");
      expect_rounded([](const Inputs& in) { return global_avg_pool2d(in[0]); }, x, "global_avg_pool2d");
    }
  });
}

TEST(Bf16Ops, ReductionsAndShapes) {
  const Inputs x = {activation({6, 4, 10}, 8)};
  const auto check = [&](const char* name, const std::function<Tensor(const Tensor&)>& f) {
    expect_rounded([&](const Inputs& in) { return f(in[0]); }, x, name, kRoundedTwice);
  };
  check("sum", [](const Tensor& t) { return sum(t, 1); });
  check("mean", [](const Tensor& t) { return mean(t, -1); });
  check("max", [](const Tensor& t) { return max(t, 0); });
  check("reshape", [](const Tensor& t) { return reshape(t, {24, 10}); });
  check("flatten", [](const Tensor& t) { return flatten(reshape(t, {2, 3, 4, 10})); });
  check("slice", [](const Tensor& t) { return slice(t, 1, 3); });
  check("narrow", [](const Tensor& t) { return narrow(t, 2, 3, 4); });
  check("concat", [](const Tensor& t) { return concat({t, t}, 1); });
  check("stack", [](const Tensor& t) { return stack({t, t}); });
  check("split", [](const Tensor& t) { return split(t, 2, 1)[1]; });
  check("transpose", [](const Tensor& t) { return transpose(reshape(t, {24, 10})); });
  check("dropout", [](const Tensor& t) { return dropout(t, {.p = 0.4, .seed = 3}); });
  const Tensor rows = Tensor::from_data(std::vector<int64_t>{0, 2, 2, 5}, {4});
  check("gather_rows", [&](const Tensor& t) { return gather_rows(t, rows); });
  check("where", [](const Tensor& t) { return where(gt(t, zeros_like(t)), t, t * 2.0); });
}

TEST(Bf16Ops, GradientsOfABranchAreAddedUp) {
  Tensor x = activation({40}, 9);
  x.set_requires_grad(true);
  const Tensor y = x * 2.0 + x * 0.5;
  y.backward(activation({40}, 10));
  EXPECT_EQ(x.grad().dtype(), DType::BF16);
  expect_close(x.grad(), activation({40}, 10).to(DType::F32) * 2.5, 0.01);
}

TEST(Bf16Ops, TheEmbeddingIsF32) {
  Tensor x = activation({4, 9}, 11);
  x.set_requires_grad(true);
  const Tensor e = l2_normalize(x);
  EXPECT_EQ(e.dtype(), DType::F32);
  expect_equal_bits(e.detach(), l2_normalize(x.detach().to(DType::F32)));
  e.backward(random_tensor({4, 9}));
  EXPECT_EQ(x.grad().dtype(), DType::BF16);
  const Tensor labels = Tensor::from_data(std::vector<int64_t>{0, 0, 1, 1}, {4});
  expect_error<DTypeError>([&] { batch_triplet_loss(x, labels, {}); }, {"bf16", "to(DType::F32)"});
}

TEST(Bf16Ops, AugmentWritesRoundedPixels) {
  const Tensor photos = zeros({2, 8, 8, 3}, {.dtype = DType::U8});
  for (int64_t i = 0; i < photos.numel(); ++i)
    photos.mutable_data<uint8_t>()[i] = static_cast<uint8_t>(i * 37);
  const Tensor table = augment_table({identity_augment_row(8, 8, 8), identity_augment_row(8, 8, 8)});
  expect_equal_bits(augment(photos, table, {.size = 8, .dtype = DType::BF16}),
                    augment(photos, table, {.size = 8}).to(DType::BF16));
  expect_error<DTypeError>([&] { augment(photos, table, {.size = 8, .dtype = DType::F64}); }, {"f64"});
}

}  // namespace
}  // namespace tern
