#include "tern/nn/arena.h"

#include "tern/ops/creation.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using namespace tern::test;

TEST(Arena, ValuesStayHandlesStayBytesMove) {
  std::vector<Tensor> p{random_tensor({3, 5}), random_tensor({1}, DType::F32, 2),
                        random_tensor({17}, DType::F32, 3)};
  std::vector<Tensor> copies;
  for (const Tensor& t : p) copies.push_back(t.clone());
  const Tensor alias = p[0];  // a second handle follows
  const nn::ParameterArena arena(p);
  const char* base = static_cast<const char*>(arena.flat().raw_data());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(base) % 64, 0u);
  for (size_t i = 0; i < p.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    expect_equal_bits(p[i], copies[i]);
    EXPECT_EQ(static_cast<const char*>(p[i].raw_data()), base + 4 * arena.offset(index));
    EXPECT_EQ(arena.offset(index) % 16, 0);
    arena.check_in_place(index);
  }
  EXPECT_EQ(alias.raw_data(), p[0].raw_data());
  EXPECT_EQ(arena.numel(), 16 + 16 + 32);
}

TEST(Arena, WritingThroughTheArenaChangesTheParametersAndPaddingIsZero) {
  Tensor a = full({3}, 2), b = full({2}, 5);
  nn::ParameterArena arena({a, b});
  float* flat = arena.flat().mutable_data<float>();
  for (const int64_t i : {3, 4, 15, 18, 31}) EXPECT_EQ(flat[i], 0);
  flat[1] = 7, flat[16] = 8;
  EXPECT_EQ(a.to_vector(), (std::vector<double>{2, 7, 2}));
  EXPECT_EQ(b.to_vector(), (std::vector<double>{8, 5}));
}

TEST(Arena, ParametersOutliveIt) {
  Tensor a = full({1000}, 3);
  { const nn::ParameterArena arena({a}); }
  expect_close(a, full({1000}, 3), 0);
}

TEST(Arena, EachParameterKeepsItsOwnVersion) {
  Tensor a = ones({2}), b = ones({2});
  const nn::ParameterArena arena({a, b});
  const uint64_t version = b.version();
  a.fill(4);
  EXPECT_EQ(b.version(), version);
}

TEST(Arena, StatesAreZeroAndCutLikeTheParameters) {
  const nn::ParameterArena arena({ones({2, 3}), ones({4})});
  const Tensor state = arena.make_state();
  expect_close(state, zeros({32}), 0);
  EXPECT_EQ(arena.part_of(state, 1).shape(), (Shape{4}));
  arena.part_of(state, 1).mutable_data<float>()[0] = 9;
  EXPECT_EQ(state.to_vector()[16], 9);
}

TEST(Arena, RefusesBeforeItMovesAnything) {
  Tensor a = ones({4});
  const void* before = a.raw_data();
  const Tensor part = Tensor::view_of(Ref<Storage>(&ones({4}).storage()), 0, {2}, DType::F32);
  expect_error<UsageError>([&] { nn::ParameterArena({a, part}); }, {"part of a larger", "[2]"});
  expect_error<UsageError>([&] { nn::ParameterArena({a, Tensor()}); }, {"undefined", "1"});
  expect_error<UsageError>([&] { nn::ParameterArena({a, a}); }, {"twice"});
  expect_error<DTypeError>([&] { nn::ParameterArena({a, ones({2}, {.dtype = DType::F64})}); }, {"f64"});
  EXPECT_EQ(a.raw_data(), before);
}

}  // namespace
}  // namespace tern
