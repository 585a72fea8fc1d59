#include "tern/ops/pointwise.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "tern/core/philox.h"
#include "tern/ops/pointwise_nodes.h"
#include "tern/ops/prelu.h"
#include "tern/ops/reduce.h"
#include "tern/ops/shape_ops.h"
#include "tests/ops/pointwise_table.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using test::binary_rows;
using test::find_row;
using test::for_each_formula;
using test::key_of;
using test::random_tensor;
using test::unary_rows;
using Inputs = std::vector<Tensor>;

// Uniform in [low, high], never within 1e-3 of a kink.
Tensor uniform_away(double low, double high, const std::vector<double>& kinks, int64_t n, DType dtype) {
  PhiloxSequence dice(7, RandomStream::Test, 0);
  std::vector<double> x;
  while (static_cast<int64_t>(x.size()) < n) {
    const double v = low + (high - low) * dice.uniform();
    bool near = false;
    for (const double k : kinks) near = near || std::fabs(v - k) < 1e-3;
    if (!near) x.push_back(v);
  }
  return Tensor::from_data(x, {n}).to(dtype);
}

// f32 numbers of every size from least up: both signs, subnormals, dense where the formulas bend.
std::vector<float> many_values(double least) {
  std::vector<float> x;
  PhiloxSequence dice(9, RandomStream::Test, 0);
  for (uint32_t exponent = 0; exponent < 254; ++exponent)
    for (int k = 0; k < 4; ++k) {
      const auto value = std::bit_cast<float>((exponent << 23) | (dice.next() >> 9));
      x.push_back(value);
      x.push_back(-value);
    }
  for (int k = 0; k < 1000; ++k) x.push_back(dice.uniform(-16, 16));
  for (int k = 0; k < 1000; ++k) x.push_back(dice.uniform(-104, 90));
  for (int k = 0; k < 1000; ++k) x.push_back(dice.uniform(0.5, 2));
  std::erase_if(x, [&](float v) { return static_cast<double>(v) < least; });
  return x;
}

double ulp_distance(float got, double want, double tiny = 0) {
  if (std::isnan(want)) return std::isnan(got) ? 0 : 1e9;
  const auto rounded = static_cast<float>(want);
  if (std::isinf(rounded) || std::isinf(got)) return got == rounded || std::fabs(want) > 3.4e38 ? 0 : 1e9;
  int exponent = 0;
  std::frexp(std::max(std::fabs(want), tiny), &exponent);
  const double spacing = std::ldexp(1.0, std::max(exponent - 24, -149));
  return std::fabs(static_cast<double>(got) - want) / spacing;
}

TEST(PointwiseTable, EveryFormulaHasARow) {
  size_t unary_count = 0, binary_count = 0;
  for_each_formula(UnaryFormulas{}, [&](const auto& f) {
    EXPECT_NE(find_row(unary_rows(), key_of(f)), nullptr) << key_of(f) << " has no row in pointwise_table.h";
    ++unary_count;
  });
  for_each_formula(BinaryFormulas{}, [&](const auto& f) {
    EXPECT_NE(find_row(binary_rows(), key_of(f)), nullptr) << key_of(f) << " has no row in pointwise_table.h";
    ++binary_count;
  });
  EXPECT_EQ(unary_count, unary_rows().size());
  EXPECT_EQ(binary_count, binary_rows().size());
}

TEST(Pointwise, UnaryWithinFourUlpOfDouble) {
  test::for_each_isa([](cpu::Isa isa) {
    for_each_formula(UnaryFormulas{}, [&](const auto& f) {
      const auto* row = find_row(unary_rows(), key_of(f));
      if (!row) return;
      const std::vector<float> x = many_values(row->least);
      const Tensor y = unary(f, Tensor::from_data(x, {static_cast<int64_t>(x.size())}));
      double worst = 0;
      size_t where = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const double ulp = ulp_distance(y.data<float>()[i], row->value(static_cast<double>(x[i])), row->tiny);
        if (ulp > worst) worst = ulp, where = i;
      }
      EXPECT_LE(worst, 4) << row->name << " on " << to_string(isa) << " at x = " << x[where] << ": "
                          << y.data<float>()[where] << ", should be "
                          << row->value(static_cast<double>(x[where]));
    });
  });
}

TEST(Pointwise, SpecialValues) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {std::nanf(""), inf,    -inf,    0.0f, -0.0f, 3.4e38f,
                                -3.4e38f,      1e-45f, -1e-45f, 1,    -1};
  test::for_each_isa([&](cpu::Isa isa) {
    for_each_formula(UnaryFormulas{}, [&](const auto& f) {
      const auto* row = find_row(unary_rows(), key_of(f));
      if (!row) return;
      const Tensor y = unary(f, Tensor::from_data(x, {static_cast<int64_t>(x.size())}));
      for (size_t i = 0; i < x.size(); ++i) {
        const auto want = static_cast<float>(row->value(static_cast<double>(x[i])));
        const float got = y.data<float>()[i];
        if (std::isnan(want)) {
          EXPECT_TRUE(std::isnan(got))
              << row->name << "(" << x[i] << ") on " << to_string(isa) << ": " << got;
        } else {
          EXPECT_LE(ulp_distance(got, static_cast<double>(want)), 4)
              << row->name << "(" << x[i] << ") on " << to_string(isa) << ": " << got << ", should be "
              << want;
          EXPECT_EQ(std::signbit(got), std::signbit(want))
              << row->name << "(" << x[i] << ") on " << to_string(isa);
        }
      }
    });
  });
}

TEST(Pointwise, TailHasTheBitsOfTheBody) {
  const Tensor x = random_tensor({96});
  test::for_each_isa([&](cpu::Isa) {
    for_each_formula(UnaryFormulas{}, [&](const auto& f) {
      const Tensor whole = unary(f, x);
      for (int64_t shift = 1; shift < 16; ++shift)
        test::expect_equal_bits(unary(f, slice(x, shift, 64 + shift - 7)),
                                slice(whole, shift, 64 + shift - 7));
    });
    for_each_formula(BinaryFormulas{}, [&](const auto& f) {
      const Tensor b = random_tensor({96}, DType::F32, 2), whole = binary(f, x, b);
      for (int64_t shift = 1; shift < 16; ++shift) {
        const int64_t end = 64 + shift - 7;
        test::expect_equal_bits(binary(f, slice(x, shift, end), slice(b, shift, end)),
                                slice(whole, shift, end));
      }
    });
  });
}

TEST(Pointwise, UnaryGradientsInF32) {
  test::for_each_isa([](cpu::Isa isa) {
    for_each_formula(UnaryFormulas{}, [&](const auto& f) {
      const auto* row = find_row(unary_rows(), key_of(f));
      if (!row) return;
      Tensor x = uniform_away(row->low, row->high, row->kinks, 203, DType::F32);
      x.set_requires_grad();
      const Tensor dy = random_tensor({203}, DType::F32, 3);
      unary(f, x).backward(dy);
      const Tensor dx = x.grad();
      for (int64_t i = 0; i < 203; ++i) {
        const double slope = row->slope(static_cast<double>(x.data<float>()[i]));
        const double d = static_cast<double>(dy.data<float>()[i]), want = d * slope;
        EXPECT_NEAR(static_cast<double>(dx.data<float>()[i]), want,
                    2e-6 * std::fabs(d) * std::max(1.0, std::fabs(slope)))
            << row->name << " on " << to_string(isa) << " at " << x.data<float>()[i];
      }
    });
  });
}

TEST(Pointwise, VectorsAgreeWithTheReferenceLoops) {
  const cpu::Isa before = cpu::active_isa();
  cpu::set_isa(cpu::Isa::Reference);
  std::vector<Tensor> want;
  const Tensor a = random_tensor({33, 7}), b = random_tensor({7}, DType::F32, 2);
  const Tensor positive = exp(a);
  const auto all = [&] {
    std::vector<Tensor> y;
    for_each_formula(UnaryFormulas{}, [&](const auto& f) { y.push_back(unary(f, positive)); });
    for_each_formula(BinaryFormulas{}, [&](const auto& f) { y.push_back(binary(f, a, b)); });
    return y;
  };
  want = all();
  cpu::set_isa(before);
  test::for_each_isa([&](cpu::Isa) {
    const std::vector<Tensor> got = all();
    for (size_t i = 0; i < got.size(); ++i) test::expect_close(got[i], want[i], 1e-6);
  });
}

// The naive broadcast: walk the result's indices, drop those of stretched dimensions.
int64_t naive_offset(const Shape& result, const Shape& operand, int64_t i) {
  int64_t offset = 0, stride = 1;
  for (int back = 1; back <= result.rank(); ++back) {
    const int64_t index = i % result[-back];
    i /= result[-back];
    if (back > operand.rank()) continue;
    if (operand[-back] != 1) offset += index * stride;
    stride *= operand[-back];
  }
  return offset;
}

const std::vector<std::pair<Shape, Shape>>& odd_shapes() {
  static const std::vector<std::pair<Shape, Shape>> shapes = {
      {{5}, {5}},          {{}, {3}},
      {{3, 1}, {1, 4}},    {{2, 3, 5}, {3, 1}},
      {{2, 1, 5}, {3, 1}}, {{7, 33}, {33}},
      {{33}, {7, 33}},     {{7, 33}, {7, 1}},
      {{1, 1, 1}, {2, 3}}, {{2, 3, 4, 5}, {1, 3, 1, 5}},
      {{0, 3}, {3}},       {{2, 0}, {1}},
      {{1}, {1, 1, 1}},    {{4, 1, 3, 1}, {1, 2, 1, 17}},
      {{129, 3}, {3}},     {{2, 17000}, {17000}},
      {{260, 64}, {64}},   {{2, 3, 1, 2, 1, 3}, {3, 5, 2, 2, 1}}};
  return shapes;
}

TEST(Broadcast, ForwardAgainstNaiveLoops) {
  test::for_each_isa([](cpu::Isa) {
    for (const auto& [sa, sb] : odd_shapes()) {
      const Tensor a = random_tensor(sa), b = random_tensor(sb, DType::F32, 2), y = sub(a, b);
      ASSERT_EQ(y.shape(), broadcast_shapes(sa, sb));
      int64_t wrong = 0;
      for (int64_t i = 0; i < y.numel(); ++i)
        wrong += y.data<float>()[i] != a.data<float>()[naive_offset(y.shape(), sa, i)] -
                                           b.data<float>()[naive_offset(y.shape(), sb, i)];
      EXPECT_EQ(wrong, 0) << to_string(sa) << " - " << to_string(sb);
      test::expect_equal_bits(broadcast_to(a, y.shape()), add(a, mul(y, 0.0)));
    }
  });
}

TEST(Broadcast, GradientsAgainstNaiveLoops) {
  test::for_each_isa([](cpu::Isa) {
    for (const auto& [sa, sb] : odd_shapes()) {
      Tensor a = random_tensor(sa), b = random_tensor(sb, DType::F32, 2);
      a.set_requires_grad();
      b.set_requires_grad();
      const Tensor y = mul(a, b), dy = random_tensor(y.shape(), DType::F32, 3);
      y.backward(dy);
      std::vector<double> da(static_cast<size_t>(a.numel())), db(static_cast<size_t>(b.numel()));
      for (int64_t i = 0; i < y.numel(); ++i) {
        const int64_t ia = naive_offset(y.shape(), sa, i), ib = naive_offset(y.shape(), sb, i);
        const auto d = static_cast<double>(dy.data<float>()[i]);
        da[static_cast<size_t>(ia)] += d * static_cast<double>(b.data<float>()[ib]);
        db[static_cast<size_t>(ib)] += d * static_cast<double>(a.data<float>()[ia]);
      }
      test::expect_close(a.grad(), Tensor::from_data(da, sa), 1e-6);
      test::expect_close(b.grad(), Tensor::from_data(db, sb), 1e-6);
    }
  });
}

TEST(Broadcast, RefusesShapesThatDoNotMeet) {
  test::expect_error<ShapeError>(
      [] {
        add(random_tensor({2, 3}), random_tensor({2}));
      },
      {"add", "[2,3]", "[2]"});
  test::expect_error<ShapeError>([] { broadcast_to(random_tensor({2, 3}), {3}); }, {"broadcast_to"});
}

TEST(Pointwise, SameBitsForAnyNumberOfThreads) {
  const Tensor a = random_tensor({300, 257}), b = random_tensor({257}, DType::F32, 2);
  const Tensor y = gelu(a), z = mul(a, b);
  test::for_each_thread_count([&](int) {
    test::expect_equal_bits(gelu(a), y);
    test::expect_equal_bits(mul(a, b), z);
  });
}

TEST(Pointwise, ScalarsAndOperators) {
  const Tensor x = Tensor::from_data(std::vector<float>{1, -2, 4}, {3});
  EXPECT_EQ((x + 1).to_vector(), (std::vector<double>{2, -1, 5}));
  EXPECT_EQ((1 - x).to_vector(), (std::vector<double>{0, 3, -3}));
  EXPECT_EQ((x - 1).to_vector(), (std::vector<double>{0, -3, 3}));
  EXPECT_EQ((2 * x / 4).to_vector(), (std::vector<double>{0.5, -1, 2}));
  EXPECT_EQ((8 / x).to_vector(), (std::vector<double>{8, -4, 2}));
  EXPECT_EQ((-x * x).to_vector(), (std::vector<double>{-1, -4, -16}));
  EXPECT_EQ(maximum(x, 0.5).to_vector(), (std::vector<double>{1, 0.5, 4}));
  EXPECT_EQ(pow(x, 3).to_vector(), (std::vector<double>{1, -8, 64}));
  EXPECT_EQ(pow(x, 2).to_vector(), (std::vector<double>{1, 4, 16}));
  EXPECT_EQ(clamp(x, -1, 2).to_vector(), (std::vector<double>{1, -1, 2}));
}

TEST(Pointwise, GradientsAtKinks) {
  const auto slope_at = [](double at, const std::function<Tensor(const Tensor&)>& f) {
    Tensor x = Tensor::from_data(std::vector<float>{static_cast<float>(at)}, {1});
    x.set_requires_grad();
    f(x).backward();
    return x.grad().item();
  };
  EXPECT_EQ(slope_at(0, relu), 0);
  EXPECT_EQ(slope_at(0, abs), 0);
  EXPECT_EQ(slope_at(0, [](const Tensor& x) { return leaky_relu(x, 0.1); }), static_cast<double>(0.1f));
  EXPECT_EQ(slope_at(2, [](const Tensor& x) { return clamp(x, -1, 2); }), 1);
  EXPECT_EQ(slope_at(-1, [](const Tensor& x) { return clamp(x, -1, 2); }), 1);
  EXPECT_EQ(slope_at(2.5, [](const Tensor& x) { return clamp(x, -1, 2); }), 0);
  EXPECT_EQ(slope_at(3, [](const Tensor& x) { return maximum(x, x); }), 1);  // a half through each operand
  EXPECT_EQ(slope_at(3, [](const Tensor& x) { return pow(x, 0); }), 0);
  EXPECT_TRUE(std::isinf(slope_at(0, sqrt)));
}

TEST(Pointwise, PowAgainstTheCLibrary) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  std::vector<float> x = {0.0f, -0.0f, 1, -1, 2, -2, 0.5f, -0.5f, inf, -inf, nan, 1e-45f, 3e38f, -3e38f};
  PhiloxSequence dice(3, RandomStream::Test, 0);
  for (int i = 0; i < 300; ++i) x.push_back(std::exp(dice.uniform(-80, 80)));
  for (int i = 0; i < 100; ++i) x.push_back(dice.uniform(0.9f, 1.1f));
  const std::vector<double> exponents = {0,   1,   -1,  3,    -3,    0.5,  -0.5,     2.5, 1e-3, 7,  8,
                                         100, 101, 1e9, 1e30, -1e30, 0.1f, 16777217, inf, -inf, nan};
  test::for_each_isa([&](cpu::Isa isa) {
    for (const double p : exponents) {
      const Tensor y = unary(Pow{p}, Tensor::from_data(x, {static_cast<int64_t>(x.size())}));
      for (size_t i = 0; i < x.size(); ++i) {
        const double want = std::pow(static_cast<double>(x[i]), static_cast<double>(static_cast<float>(p)));
        EXPECT_LE(ulp_distance(y.data<float>()[i], want), 4)
            << "pow(" << x[i] << ", " << p << ") on " << to_string(isa) << ": " << y.data<float>()[i]
            << ", should be " << want;
        if (std::isnan(want)) continue;
        EXPECT_EQ(std::signbit(y.data<float>()[i]), std::signbit(want)) << x[i] << " ^ " << p;
      }
    }
  });
}

TEST(Pointwise, PublicFunctionsAreTheirFormulas) {
  const Tensor x = exp(random_tensor({37}));
  for_each_formula(UnaryFormulas{},
                   [&]<class F>(const F& f) { test::expect_equal_bits(pointwise<F>(x), unary(f, x)); });
  test::expect_equal_bits(relu(neg(x)), unary(Relu{}, unary(Neg{}, x)));
}

TEST(Pointwise, AddInPlace) {
  test::for_each_isa([](cpu::Isa) {
    for (const DType dtype : {DType::F32, DType::F64}) {
      const Tensor a = random_tensor({1003}, dtype), b = random_tensor({1003}, dtype, 2), y = add(a, b);
      cpu::add_in_place(a, b);
      test::expect_equal_bits(a, y);
    }
  });
}

TEST(Pointwise, KeepsNothingItDoesNotNeed) {
  Tensor a = random_tensor({4}), b = random_tensor({4}, DType::F32, 2);
  a.set_requires_grad();
  const Tensor y = mul(add(a, b), b);
  b.detach().fill(0);  // mul needs b for the gradient of a, and notices that it changed
  test::expect_error<UsageError>([&] { y.backward(random_tensor({4})); }, {"mul"});
}

TEST(Pointwise, RefusesWhatItCannotDo) {
  test::expect_error<DTypeError>([] { relu(test::random_ints({3}, DType::I64, 1, 0, 9)); },
                                 {"relu", "i64", "f32"});
  test::expect_error<DTypeError>([] { add(random_tensor({3}), random_tensor({3}, DType::F64)); },
                                 {"add", "f64"});
  test::expect_error<UsageError>([] { relu(Tensor()); }, {"relu", "undefined"});
  test::expect_error<UsageError>([] { clamp(random_tensor({3}), 2, 1); }, {"clamp"});
  test::expect_error<ShapeError>([] { prelu(random_tensor({2, 3}), random_tensor({2})); }, {"prelu", "[2]"});
}

// One test GradCheck.<formula> per entry of the typelists.
class GradientTest : public testing::Test {
 public:
  explicit GradientTest(std::function<void()> body) : body_(std::move(body)) {}
  void TestBody() override { body_(); }

 private:
  std::function<void()> body_;
};

void add_gradient_test(const std::string& name, const std::function<void()>& body) {
  testing::RegisterTest("GradCheck", name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                        [body]() -> testing::Test* { return new GradientTest(body); });
}

const bool kGradientTestsAdded = [] {
  for_each_formula(UnaryFormulas{}, [](const auto& f) {
    add_gradient_test(key_of(f), [f] {
      const auto* row = find_row(unary_rows(), key_of(f));
      ASSERT_NE(row, nullptr) << key_of(f) << " has no row in pointwise_table.h";
      test::gradcheck([&](const Inputs& x) { return unary(f, x[0]); },
                      {uniform_away(row->low, row->high, row->kinks, 24, DType::F64)});
    });
  });
  for_each_formula(BinaryFormulas{}, [](const auto& f) {
    add_gradient_test(key_of(f), [f] {
      ASSERT_NE(find_row(binary_rows(), key_of(f)), nullptr)
          << key_of(f) << " has no row in pointwise_table.h";
      const auto apply = [&](const Inputs& x) { return binary(f, x[0], x[1]); };
      test::gradcheck(apply, {random_tensor({2, 3, 4}, DType::F64, 1), random_tensor({3, 1}, DType::F64, 2)});
      test::gradcheck(apply, {random_tensor({5}, DType::F64, 3), random_tensor({2, 5}, DType::F64, 4)});
    });
  });
  return true;
}();

}  // namespace
}  // namespace tern
