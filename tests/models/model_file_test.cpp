#include "tern/models/model_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tern/core/fs.h"
#include "tern/nn/state_dict.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

namespace stdfs = std::filesystem;

ModelCard sample_card() {
  ModelCard card;
  card.spec = {.arch = "face_net", .size = 32, .channels = 1, .embedding_dim = 4};
  card.preprocess = {.size = 32, .channels = 1, .crop = 0.9, .mean = {.1f, .2f, .3f}, .std = {.4f, .5f, .6f}};
  card.training_margin = 0.2;
  card.rule = DecisionRule{.threshold = 1.0 / 3,
                           .far = 0.012345678901234567,
                           .tar = 0.9,
                           .same_pairs = 300,
                           .different_pairs = 123456789012,
                           .intercept = 4.5,
                           .slope = -7.25,
                           .source = "validation people"};
  return card;
}

class ModelFile : public testing::Test {
 protected:
  void SetUp() override {
    path_ = (stdfs::temp_directory_path() / ("tern_model_" + std::to_string(::getpid()) + "_" +
                                             testing::UnitTest::GetInstance()->current_test_info()->name()))
                .string();
  }
  void TearDown() override { stdfs::remove(path_); }
  std::string path_;
};

TEST_F(ModelFile, RoundTrip) {
  const auto model = make_model(sample_card().spec, 3);
  const std::string hash = save_model(path_, *model, sample_card(), {{"tern.train.step", "500"}});
  const LoadedModel loaded = load_model(path_);
  ModelCard expected = sample_card();
  expected.weights_hash = hash;
  EXPECT_EQ(loaded.card, expected);
  EXPECT_EQ(read_card(path_), expected);
  EXPECT_EQ(nn::tensors_hash(nn::state_dict(*loaded.model)), hash);
  EXPECT_FALSE(loaded.model->training());
  EXPECT_EQ(nn::load_safetensors(path_).metadata.at("tern.train.step"), "500");
  const std::string bytes = read_file(path_);
  save_model(path_, *model, sample_card(), {{"tern.train.step", "500"}});
  EXPECT_EQ(read_file(path_), bytes) << "the same model gives the same bytes";
}

TEST_F(ModelFile, WithoutARule) {
  ModelCard card = sample_card();
  card.rule.reset();
  save_model(path_, *make_model(card.spec, 3), card);
  EXPECT_FALSE(load_model(path_).card.rule.has_value());
  replace_rule(path_, *sample_card().rule);
  EXPECT_EQ(load_model(path_).card.rule, sample_card().rule);
}

TEST_F(ModelFile, RefusesDamage) {
  save_model(path_, *make_model(sample_card().spec, 3), sample_card());
  const std::string bytes = read_file(path_);
  // Half of the truncation points lie in the header, half spread over the weights.
  for (size_t n = 0; n < bytes.size(); n += n < 20000 ? 256 : 200000) {
    std::ofstream(path_, std::ios::binary) << bytes.substr(0, n);
    EXPECT_THROW(load_model(path_), IncompatibleError) << n;
  }
  std::string flipped = bytes;
  flipped[bytes.size() - 1000] ^= 4;
  write_file_atomically(path_, flipped);
  test::expect_error<IncompatibleError>([&] { load_model(path_); }, {path_, "damaged"});
  write_file_atomically(path_, "this is text, not a model file");
  EXPECT_THROW(load_model(path_), IncompatibleError);
  EXPECT_THROW(load_model(path_ + ".none"), IoError);
}

TEST_F(ModelFile, RefusesWhatIsNoModelOrAnother) {
  nn::save_safetensors(path_, {{"w", test::random_tensor({3})}});
  test::expect_error<IncompatibleError>([&] { load_model(path_); }, {path_, "no model", "tern.arch"});
  const auto model = make_model(sample_card().spec, 3);
  const auto expect_refused = [&](const std::string& key, const std::string& value, std::string_view word) {
    nn::Metadata metadata = metadata_of(sample_card());
    metadata[key] = value;
    nn::save_safetensors(path_, nn::state_dict(*model), metadata);
    test::expect_error<IncompatibleError>([&] { load_model(path_); }, {path_, word});
  };
  expect_refused("tern.arch", "resnet18", "do not fit the model");
  expect_refused("tern.arch", "vgg", "unknown architecture 'vgg'");
  expect_refused("tern.embedding_dim", "5", "fc.weight");
  expect_refused("tern.embedding_dim", "1000000000", "2 to 4096");
  expect_refused("tern.size", "64", "does not take");
  expect_refused("tern.size", "32 ", "not a number");
  expect_refused("tern.size", "-32", "32 to 160");
  expect_refused("tern.threshold", "nan", "tern.threshold is not a number");
  expect_refused("tern.threshold", "", "tern.threshold is not a number");
  expect_refused("tern.preprocess.std", "1 0 1", "std");
  expect_refused("tern.preprocess.mean", "1 0", "tern.preprocess.mean is not a number");
}

// A tool that rewrites the file drops the checksums; weights it changed no longer match the card.
TEST_F(ModelFile, HashGuardsFilesWithoutChecksums) {
  const auto model = make_model(sample_card().spec, 3);
  ModelCard card = sample_card();
  nn::TensorMap tensors = nn::state_dict(*model);
  card.weights_hash = nn::tensors_hash(tensors);
  const auto write_plain = [&] {
    std::string json = "{\"__metadata__\":{", data;
    const auto metadata = metadata_of(card);
    for (const auto& [key, value] : metadata)
      json += (json.back() == '{' ? "\"" : ",\"") + key + "\":\"" + value + "\"";
    json += "}";
    for (const auto& [name, tensor] : tensors) {
      std::string shape;
      for (const int64_t size : tensor.shape()) shape += concat_text(shape.empty() ? "" : ",", size);
      const size_t begin = data.size();
      data.append(static_cast<const char*>(tensor.raw_data()), static_cast<size_t>(tensor.bytes()));
      json += concat_text(",\"", name, "\":{\"dtype\":\"", tensor.dtype() == DType::I64 ? "I64" : "F32",
                          "\",\"shape\":[", shape, "],\"data_offsets\":[", begin, ",", data.size(), "]}");
    }
    json += "}";
    std::string length(8, '\0');
    for (int i = 0; i < 8; ++i) length[static_cast<size_t>(i)] = static_cast<char>(json.size() >> (8 * i));
    write_file_atomically(path_, length + json + data);
  };
  write_plain();
  EXPECT_EQ(load_model(path_).card, card);
  tensors["fc.bias"].mutable_data<float>()[0] += 1;
  write_plain();
  test::expect_error<IncompatibleError>([&] { load_model(path_); }, {"not those"});
}

TEST_F(ModelFile, LoadWeightsNamesTheFile) {
  save_model(path_, *make_model(sample_card().spec, 3), sample_card());
  const auto other = make_model({.arch = "resnet18", .size = 32}, 1);
  test::expect_error<IncompatibleError>([&] { load_weights(*other, path_); },
                                        {path_, "missing", "unexpected"});
  const auto same = make_model(sample_card().spec, 9);
  load_weights(*same, path_);
  EXPECT_EQ(nn::tensors_hash(nn::state_dict(*same)), read_card(path_).weights_hash);
}

}  // namespace
}  // namespace tern
