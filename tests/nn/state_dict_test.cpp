#include "tern/nn/state_dict.h"

#include <gtest/gtest.h>

#include "tern/nn/layers.h"
#include "tern/nn/sequential.h"
#include "tests/support/tensors.h"

namespace tern::nn {
namespace {

using test::expect_equal_bits;
using test::random_tensor;

Sequential small_net() {
  return Sequential{Conv2d{{.in = 2, .out = 3, .kernel = {3, 2}}}, BatchNorm2d{{.channels = 3}},
                    PReLU{{.channels = 3}}, GlobalAvgPool2d{}, Linear{{.in = 3, .out = 4}}};
}

TEST(StateDict, NamesTypesAndLayoutsArePyTorchs) {
  Sequential net = small_net();
  const TensorMap state = state_dict(net);
  const std::map<std::string, Shape> expected{{"0.weight", {3, 2, 3, 2}},  // O, I, kH, kW
                                              {"0.bias", {3}},
                                              {"1.weight", {3}},
                                              {"1.bias", {3}},
                                              {"1.running_mean", {3}},
                                              {"1.running_var", {3}},
                                              {"1.num_batches_tracked", {}},
                                              {"2.weight", {3}},
                                              {"4.weight", {4, 3}},
                                              {"4.bias", {4}}};
  ASSERT_EQ(state.size(), expected.size());
  for (const auto& [name, shape] : expected) {
    ASSERT_TRUE(state.contains(name)) << name;
    EXPECT_EQ(state.at(name).shape(), shape) << name;
    EXPECT_EQ(state.at(name).dtype(), name.ends_with("tracked") ? DType::I64 : DType::F32);
    EXPECT_FALSE(state.at(name).requires_grad());
  }
  // OHWI in memory, OIHW in the file.
  const auto& conv = static_cast<Conv2d&>(net[0]);
  const float* memory = conv.weight.data<float>();
  const float* file = state.at("0.weight").data<float>();
  for (int o = 0; o < 3; ++o)
    for (int i = 0; i < 2; ++i)
      for (int h = 0; h < 3; ++h)
        for (int w = 0; w < 2; ++w) {
          EXPECT_EQ(file[((o * 2 + i) * 3 + h) * 2 + w], memory[((o * 3 + h) * 2 + w) * 2 + i]);
        }
}

TEST(StateDict, RoundTripThroughAFile) {
  Sequential net = small_net(), other = small_net();
  net(random_tensor({2, 5, 5, 2}));
  const TensorMap loaded = parse_safetensors(safetensors_bytes(state_dict(net)), "x").tensors;
  const uint64_t version = static_cast<Linear&>(other[4]).weight.version();
  const Tensor handle = static_cast<Linear&>(other[4]).weight.share();
  load_state_dict(other, loaded);
  EXPECT_EQ(tensors_hash(state_dict(net)), tensors_hash(state_dict(other)));
  expect_equal_bits(handle, static_cast<Linear&>(net[4]).weight);
  EXPECT_GT(handle.version(), version) << "stale packed weights must be noticed";
  EXPECT_TRUE(handle.requires_grad());
  net.eval();
  other.eval();
  const Tensor x = random_tensor({2, 5, 5, 2}, DType::F32, 9);
  expect_equal_bits(net(x), other(x));
}

TEST(StateDict, EveryProblemIsListedAndNothingChanges) {
  Sequential net = small_net();
  const std::string before = tensors_hash(state_dict(net));
  Sequential source = small_net();
  TensorMap state = state_dict(source);
  state.erase("4.bias");
  state.erase("1.running_var");
  state["extra.weight"] = random_tensor({1});
  state["0.weight"] = random_tensor({3, 3, 2, 2});
  state["2.weight"] = random_tensor({3}, DType::F64);
  test::expect_error<IncompatibleError>(
      [&] { load_state_dict(net, state); },
      {"2 missing (1.running_var, 4.bias)", "1 unexpected (extra.weight)", "2 of another shape or type",
       "0.weight: f32 [3,3,2,2], expected f32 [3,2,3,2]", "2.weight: f64 [3], expected f32 [3]"});
  EXPECT_EQ(tensors_hash(state_dict(net)), before);
}

TEST(StateDict, LongListsAreCut) {
  Sequential net;
  for (int i = 0; i < 50; ++i) net.add(Linear{{.in = 1, .out = 1}});
  try {
    load_state_dict(net, {});
    FAIL();
  } catch (const IncompatibleError& error) {
    EXPECT_NE(std::string(error.what()).find("100 missing"), std::string::npos);
    EXPECT_LT(std::string(error.what()).size(), 600u);
  }
}

struct Tied : Module {
  Linear a{{.in = 3, .out = 3, .bias = false}}, b{{.in = 3, .out = 3, .bias = false}};
  Tied() { b.weight = a.weight.share(); }
  Tensor forward(const Tensor& x) override { return b(a(x)); }
  void visit(Visitor& v) override { v.child("a", a), v.child("b", b); }
};

TEST(StateDict, SharedTensorsAreSavedOnceAndStayShared) {
  Tied tied, other;
  TensorMap state = state_dict(tied);
  ASSERT_EQ(state.size(), 1u);
  load_state_dict(other, state);
  EXPECT_TRUE(same_data(other.a.weight, other.b.weight));
  expect_equal_bits(other.b.weight, tied.a.weight);
  // PyTorch writes both names: accepted when they agree.
  state["b.weight"] = state["a.weight"].clone();
  load_state_dict(other, state);
  state["b.weight"].mutable_data<float>()[0] += 1;
  test::expect_error<IncompatibleError>([&] { load_state_dict(other, state); },
                                        {"b.weight: differs from a.weight"});
}

}  // namespace
}  // namespace tern::nn
