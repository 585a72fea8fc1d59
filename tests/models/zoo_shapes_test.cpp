// The list of the zoo's convolutions names those that the networks have.

#include "tern/tests/support/zoo_shapes.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "tern/models/registry.h"
#include "tern/nn/module.h"

namespace tern {
namespace {

// Filters by shape, and the multiply-adds of one photo: a wrong size, stride, padding or count changes one of
// them.
TEST(ZooShapes, AgreeWithTheNetworks) {
  for (const std::string& arch : known_models()) {
    const ModelSpec spec = native_spec(arch);
    const auto model = make_model(spec, 1);
    std::map<std::string, int> filters, listed;
    int64_t linear = 0, convolutions = 0;
    for (const nn::NamedTensor& p : model->named_parameters()) {
      if (p.tensor.rank() == 4) ++filters[to_string(p.tensor.shape())];
      if (p.tensor.rank() == 2) linear += p.tensor.numel();
    }
    for (const test::ZooConv& z : test::kZooConvs) {
      if (z.model != arch) continue;
      const Conv2dGeometry g = test::geometry_of(z, 1);
      listed[to_string(g.w_shape())] += z.count;
      convolutions += z.count * g.pixels() * g.o * g.patch();
    }
    EXPECT_EQ(listed, filters) << arch;
    EXPECT_EQ(convolutions + linear, model->num_multiply_adds({1, spec.size, spec.size, spec.channels}))
        << arch;
  }
}

}  // namespace
}  // namespace tern
