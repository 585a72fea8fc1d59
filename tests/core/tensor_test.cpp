#include "tern/core/tensor.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tern/core/autograd.h"
#include "tern/ops/creation.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using test::expect_error;

TEST(Tensor, HandlesShareAndClonesDoNot) {
  Tensor x = tensor({1, 2, 3});
  Tensor same = x;
  Tensor copy = x.clone();
  x.fill(7);
  EXPECT_EQ(same.to_vector(), (std::vector<double>{7, 7, 7}));
  EXPECT_EQ(copy.to_vector(), (std::vector<double>{1, 2, 3}));
}

TEST(Tensor, MisuseIsNamed) {
  const Tensor x = tensor({1, 2, 3});
  expect_error<DTypeError>([&] { (void)x.data<double>(); }, {"f32", "f64"});
  expect_error<ShapeError>([&] { (void)x.item(); }, {"[3]"});
  expect_error<UsageError>([] { (void)Tensor().shape(); }, {"undefined"});
  expect_error<DeviceError>([&] { x.to(Device{DeviceType::Cuda, 0}); }, {"cuda:0", "hint"});
  expect_error<ShapeError>([] { tensor({{1, 2}, {3}}); }, {"rows of 2 and 1"});
  expect_error<ShapeError>([] { Tensor::from_data(std::span<const float>(), {2}); }, {"0 values", "[2]"});
}

TEST(Tensor, PrintsItsTypeAndSummarises) {
  EXPECT_EQ(to_string(tensor({{1, 2}, {3, 4.5}})), "Tensor(f32 [2,2] on cpu)\n[[1, 2],\n [3, 4.5]]");
  const std::string text = to_string(arange(0, 1000));
  EXPECT_NE(text.find("[0, 1, 2, ..., 997, 998, 999]"), std::string::npos) << text;
  EXPECT_EQ(to_string(Tensor()), "Tensor(undefined)");
}

TEST(Tensor, CastsSaturateAndRound) {
  const double inf = std::numeric_limits<double>::infinity();
  const Tensor x = tensor({-1.5, 300, inf, -inf, std::nan("")}, {.dtype = DType::F64});
  EXPECT_EQ(x.to(DType::U8).to_vector(), (std::vector<double>{0, 255, 255, 0, 0}));
  EXPECT_EQ(x.to(DType::I32).to_vector()[2], std::numeric_limits<int32_t>::max());
  EXPECT_EQ(tensor({0, 2}).to(DType::Bool).to_vector(), (std::vector<double>{0, 1}));
  // 1 + 2^-8 is halfway between two bf16 numbers and goes to the even one, 1 + 3 * 2^-8 to the even one
  // above.
  EXPECT_EQ(tensor({1 + 0x1p-8, 1 + 3 * 0x1p-8}).to(DType::BF16).to_vector(),
            (std::vector<double>{1, 1 + 0x1p-6}));
  EXPECT_TRUE(std::isnan(tensor({std::nan("")}).to(DType::BF16).to_vector()[0]));
}

TEST(Error, CarriesTheModulePathAndKind) {
  try {
    ErrorScope outer("encoder"), inner("conv1");
    check<ShapeError>(false, "conv2d: input has ", 1, " channel");
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "conv2d: input has 1 channel; in encoder.conv1");
    EXPECT_EQ(error.exit_code(), 2);
  }
  EXPECT_EQ(ErrorScope::path(), "");
  EXPECT_EQ(escaped("a\n\x1b[0m\xff"), "a\\x0a\\x1b[0m\\xff");
}

}  // namespace
}  // namespace tern
