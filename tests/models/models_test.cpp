#include <gtest/gtest.h>

#include <cmath>

#include "tern/core/allocator.h"
#include "tern/core/autograd.h"
#include "tern/models/face_net.h"
#include "tern/models/registry.h"
#include "tern/models/resnet.h"
#include "tern/nn/state_dict.h"
#include "tern/ops/conv2d.h"
#include "tern/ops/reduce.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

void expect_unit_rows(const Tensor& e) {
  const auto values = e.to_vector();
  for (int64_t row = 0; row < e.size(0); ++row) {
    double squares = 0;
    for (int64_t k = 0; k < e.size(1); ++k) squares += std::pow(values[row * e.size(1) + k], 2);
    EXPECT_NEAR(squares, 1, 1e-5);
  }
}

TEST(FaceNet, AtMostAMillionParameters) {
  for (int channels : {1, 3}) {
    const auto net = make_model({.arch = "face_net", .channels = channels}, 1);
    EXPECT_LE(net->num_parameters(), 1'000'000);
    EXPECT_GE(net->num_parameters(), 300'000);
  }
}

TEST(FaceNet, TakesEverySizeGreyAndColour) {
  for (int channels : {1, 3}) {
    const auto net = make_model({.channels = channels, .embedding_dim = 48}, 1);
    net->eval();
    const NoGradGuard no_grad;
    for (int64_t size : {32, 33, 48, 64, 97, 160}) {
      const Tensor e = (*net)(test::random_tensor({2, size, size, channels}));
      ASSERT_EQ(e.shape(), (Shape{2, 48})) << size;
      expect_unit_rows(e);
    }
  }
}

TEST(FaceNet, EveryParameterGetsAGradient) {
  const auto net = make_model({.size = 32}, 1);
  const Tensor e = (*net)(test::random_tensor({4, 32, 32, 3}));
  const Tensor dy = test::random_tensor(e.shape(), DType::F32, 9);
  e.backward(dy);
  for (const auto& parameter : net->named_parameters()) {
    ASSERT_TRUE(parameter.tensor.grad().defined()) << parameter.name;
    EXPECT_GT(max(parameter.tensor.grad()).item() - min(parameter.tensor.grad()).item(), 0) << parameter.name;
  }
}

// The layers of torchvision's resnet18 without its classifier have 11,176,512 parameters; the embedding adds
// 65,664.
TEST(ResNet18, ParametersAndNamesAreTorchvisions) {
  models::ResNet18 net;
  EXPECT_EQ(net.num_parameters(), 11'176'512 + 512 * 128 + 128);
  const auto state = nn::state_dict(net);
  EXPECT_EQ(state.size(), 62u + 60u) << "20 convolutions, 40 and 60 of batch norm, linear";
  EXPECT_EQ(state.at("conv1.weight").shape(), (Shape{64, 3, 7, 7}));
  EXPECT_EQ(state.at("layer2.0.downsample.0.weight").shape(), (Shape{128, 64, 1, 1}));
  EXPECT_EQ(state.at("layer2.0.downsample.1.running_var").shape(), (Shape{128}));
  EXPECT_EQ(state.at("layer4.1.bn2.weight").shape(), (Shape{512}));
  EXPECT_FALSE(state.contains("layer1.0.downsample.0.weight"));
}

// What PyTorch counts in the same networks (parameters, and multiply-adds of convolutions and linear layers).
TEST(LongNetworks, ParametersAndMultiplyAddsArePyTorchs) {
  struct Row {
    const char* arch;
    int64_t parameters, multiply_adds;
  };
  for (const Row& row :
       {Row{"resnet18", 11'242'176, 484'913'152}, Row{"iresnet18", 14'390'656, 2'600'321'024},
        Row{"mobilefacenet", 1'003'136, 220'965'376}, Row{"tiny", 248'864, 48'373'760}}) {
    SCOPED_TRACE(row.arch);
    const ModelSpec spec = native_spec(row.arch);
    const auto net = make_model(spec, 1);
    EXPECT_EQ(net->num_parameters(), row.parameters);
    EXPECT_EQ(net->num_multiply_adds({1, spec.size, spec.size, spec.channels}), row.multiply_adds);
    EXPECT_TRUE(net->training());
  }
}

TEST(LongNetworks, NamesAreThoseOfTheirPyTorchVersions) {
  const auto face = nn::state_dict(*make_model(native_spec("iresnet18"), 1));
  EXPECT_EQ(face.at("layer3.0.downsample.0.weight").shape(), (Shape{256, 128, 1, 1}));
  EXPECT_EQ(face.at("layer1.1.prelu.weight").shape(), (Shape{64}));
  EXPECT_EQ(face.at("fc.weight").shape(), (Shape{128, 512 * 49}));
  EXPECT_EQ(face.at("features.running_var").shape(), (Shape{128}));
  const auto mobile = nn::state_dict(*make_model(native_spec("mobilefacenet"), 1));
  EXPECT_EQ(mobile.at("dw_conv1.conv.weight").shape(), (Shape{64, 1, 3, 3}));
  EXPECT_EQ(mobile.at("blocks.5.conv.3.weight").shape(), (Shape{256, 1, 3, 3}));
  EXPECT_EQ(mobile.at("linear7.conv.weight").shape(), (Shape{512, 1, 7, 7}));
  EXPECT_FALSE(mobile.contains("linear7.prelu.weight"));
}

// Outputs of batch norms are computed again instead of kept: the same bits, less memory.
TEST(LongNetworks, RecomputeGivesTheSameGradientsInLessMemory) {
  const std::pair<const char*, double> rows[] = {{"resnet18", 1.0}, {"mobilefacenet", 0.8}};
  for (const auto& [arch, bound] : rows) {
    SCOPED_TRACE(arch);
    int64_t peak[2];
    std::vector<Tensor> gradients[2];
    for (const bool recompute : {false, true}) {
      const auto net = make_model({.arch = arch, .size = 64}, 3);
      const Tensor x = test::random_tensor({8, 64, 64, 3});
      const int64_t before = memory_stats().in_use;
      reset_peak_memory();
      const RecomputeGuard guard(recompute);
      const Tensor e = (*net)(x);
      e.backward(test::random_tensor(e.shape(), DType::F32, 9));
      peak[recompute] = memory_stats().peak_in_use - before;
      for (const auto& parameter : net->named_parameters())
        gradients[recompute].push_back(parameter.tensor.grad());
    }
    EXPECT_LT(static_cast<double>(peak[1]), bound * static_cast<double>(peak[0]));
    for (size_t i = 0; i < gradients[0].size(); ++i)
      test::expect_equal_bits(gradients[1][i], gradients[0][i]);
  }
}

// With gradients on every module runs by itself; off, norms are folded and activations fused.
TEST(LongNetworks, InferenceAgreesWithTheModulesOneByOne) {
  for (const auto& arch : known_models()) {
    SCOPED_TRACE(arch);
    const ModelSpec spec = native_spec(arch);
    const auto net = make_model(spec, 3);
    const Tensor x = test::random_tensor({4, spec.size, spec.size, spec.channels});
    (*net)(x);  // running statistics of its own
    net->eval();
    const Tensor apart = (*net)(x);
    const NoGradGuard no_grad;
    Tensor first;
    test::for_each_thread_count([&](int threads) {
      const Tensor together = (*net)(x);
      test::expect_close(together, apart, 1e-5);
      if (threads == 1) first = together;
      test::expect_equal_bits(together, first);
    });
  }
}

TEST(LongNetworks, TakeEverySizeTheyAllow) {
  for (const auto& arch : known_models())
    for (const int size : {32, 41}) {
      SCOPED_TRACE(arch);
      const auto net = make_model({.arch = arch, .size = size, .channels = 1, .embedding_dim = 16}, 1);
      net->eval();
      const NoGradGuard no_grad;
      const Tensor e = (*net)(test::random_tensor({1, size, size, 1}));
      EXPECT_EQ(e.shape(), (Shape{1, 16}));
      expect_unit_rows(e);
    }
}

// The layer that refuses a photo is named, also where layers run as a chain.
TEST(MobileFaceNet, APhotoOfAnotherSizeIsRefusedByTheLastMapsLayer) {
  ModelSpec spec = native_spec("mobilefacenet");
  const auto net = make_model(spec, 1);
  const Tensor photos = test::random_tensor({2, 32, 32, 3});
  for (const bool training : {true, false}) {
    training ? net->train() : net->eval();
    const NoGradGuard no_grad;
    test::expect_error<ShapeError>([&] { (*net)(photos); }, {"reaches over 7 pixels", "in linear7.conv"});
  }
}

TEST(LongNetworks, EveryParameterGetsAGradient) {
  for (const char* arch : {"iresnet18", "mobilefacenet", "tiny"}) {
    const auto net = make_model({.arch = arch, .size = 32, .channels = 1, .embedding_dim = 16}, 1);
    const Tensor e = (*net)(test::random_tensor({4, 32, 32, 1}));
    e.backward(test::random_tensor(e.shape(), DType::F32, 9));
    for (const auto& parameter : net->named_parameters()) {
      ASSERT_TRUE(parameter.tensor.grad().defined()) << arch << ' ' << parameter.name;
      EXPECT_GT(max(parameter.tensor.grad()).item() - min(parameter.tensor.grad()).item(), 0)
          << arch << ' ' << parameter.name;
    }
  }
}

TEST(Registry, SeedDecidesTheWeights) {
  const auto hash = [](uint64_t seed) { return nn::tensors_hash(nn::state_dict(*make_model({}, seed))); };
  EXPECT_EQ(hash(1), hash(1));
  EXPECT_NE(hash(1), hash(2));
}

TEST(Registry, Errors) {
  test::expect_error<UsageError>([] { make_model({.arch = "vgg\n"}, 1); },
                                 {"vgg\\x0a", "face_net, resnet18"});
  EXPECT_THROW(make_model({.size = 31}, 1), UsageError);
  EXPECT_THROW(make_model({.size = 161}, 1), UsageError);
  EXPECT_THROW(make_model({.channels = 4}, 1), UsageError);
  EXPECT_THROW(make_model({.embedding_dim = 1'000'000}, 1), UsageError);
  const auto known = known_models();
  EXPECT_NE(std::find(known.begin(), known.end(), "resnet18"), known.end());
}

}  // namespace
}  // namespace tern
