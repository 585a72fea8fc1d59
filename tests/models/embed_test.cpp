#include "tern/models/embed.h"

#include <gtest/gtest.h>

#include "tern/data/synthetic.h"
#include "tern/models/registry.h"
#include "tern/nn/state_dict.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

// A network in training mode is judged as it will be used: with its running statistics, which do not move.
TEST(Embed, PhotosOfATrainingNetworkAreEmbeddedInEvaluationMode) {
  const SyntheticDataset people({.size = 32, .identities = 2, .photos = 2});
  const Preprocess preprocess{.size = 32};
  const auto net = make_model({.size = 32}, 1);
  const auto before = nn::state_dict(*net);
  const auto load = [&](int64_t i) { return people.load(i); };
  const Tensor photos = embed_photos(*net, people.size(), load, preprocess, 3);
  EXPECT_TRUE(net->training());
  for (const auto& [name, tensor] : nn::state_dict(*net)) test::expect_equal_bits(tensor, before.at(name));
  test::expect_equal_bits(photos, embed_dataset(*net, people, preprocess, 3));
  net->eval();
  test::expect_equal_bits(photos, embed_photos(*net, people.size(), load, preprocess, 3));
}

}  // namespace
}  // namespace tern
