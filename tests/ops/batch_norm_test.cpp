// Batch normalisation: the f64 loops against finite differences and published values, the vector code of
// every instruction set against the f64 loops.

#include "tern/ops/batch_norm.h"

#include <cmath>
#include <limits>

#include "tern/core/philox.h"
#include "tern/ops/creation.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using namespace tern::test;

struct Case {
  int64_t rows, channels;
  bool training;
  Activation activation;
  bool residual;
};
constexpr auto kNone = Activation::None, kRelu = Activation::Relu, kPrelu = Activation::Prelu;

struct Results {
  Tensor y, mean, variance, dx, dgamma, dbeta, dresidual, dslope;
};

// One forward and backward pass in the given element type, on the same numbers: f32 or bf16.
Results run(const Case& c, DType dtype, const Tensor& x, const Tensor& dy, uint64_t seed) {
  const DType parameters = dtype == DType::F64 ? DType::F64 : DType::F32;
  const auto activation = [&](const Tensor& t) { return t.to(dtype).clone().set_requires_grad(); };
  const auto parameter = [&](uint64_t stream) {
    return random_tensor({c.channels}, DType::F32, seed + stream).to(parameters).clone().set_requires_grad();
  };
  Tensor in = activation(x), residual;
  if (c.residual) residual = activation(random_tensor(x.shape(), DType::F32, seed + 1).to(x.dtype()));
  Tensor gamma = parameter(2), beta = parameter(3), slope = c.activation == kPrelu ? parameter(5) : Tensor();
  Tensor mean = random_tensor({c.channels}, DType::F32, seed + 4).to(parameters).clone();
  Tensor variance = full({c.channels}, 0.75).to(parameters).clone();
  Tensor y = batch_norm({in, gamma, beta, mean, variance, residual, slope},
                        {.training = c.training, .relu = c.activation == kRelu});
  y.backward(dy.to(dtype));
  return {y,
          mean,
          variance,
          in.grad(),
          gamma.grad(),
          beta.grad(),
          c.residual ? residual.grad() : Tensor(),
          slope.defined() ? slope.grad() : Tensor()};
}

// dgamma and dbeta may cancel: their error is measured against the number of terms, each of order one.
void expect_close_sums(const Tensor& a, const Tensor& b, int64_t rows) {
  const auto fast = a.to_vector(), exact = b.to_vector();
  for (size_t i = 0; i < exact.size(); ++i)
    EXPECT_NEAR(fast[i], exact[i], 2e-7 * static_cast<double>(rows) + 2e-6);
}

void compare(const Results& a, const Results& b, double tolerance) {
  expect_close(a.y, b.y, tolerance);
  expect_close(a.mean, b.mean, tolerance);
  expect_close(a.variance, b.variance, tolerance);
  // dx may cancel too (two rows lie at +-1, whatever x is): its terms are of order one.
  const auto dx = a.dx.to_vector(), exact_dx = b.dx.to_vector();
  double largest = 1;
  for (const double d : exact_dx) largest = std::max(largest, std::abs(d));
  for (size_t i = 0; i < dx.size(); ++i) ASSERT_NEAR(dx[i], exact_dx[i], tolerance * largest);
  const int64_t rows = a.y.numel() / a.dbeta.numel();
  expect_close_sums(a.dgamma, b.dgamma, rows);
  expect_close_sums(a.dbeta, b.dbeta, rows);
  if (b.dresidual.defined()) expect_close(a.dresidual, b.dresidual, tolerance);
  if (b.dslope.defined()) expect_close_sums(a.dslope, b.dslope, rows);
}

const char* name_of(Activation a) { return a == kNone ? "" : a == kRelu ? " relu" : " prelu"; }

TEST(BatchNorm, EveryIsaAgreesWithTheF64LoopsOverOddShapes) {
  uint64_t seed = 1;
  int cases = 0;
  for (const int64_t channels :
       {1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 24, 31, 33, 40, 63, 64, 65, 100, 257, 513}) {
    for (const int64_t rows : {2, 3, 4, 5, 7, 8, 31, 33, 65, 129, 200, 300, 530, 1027}) {
      if (rows * channels > 9000) continue;
      ++seed, ++cases;
      const Case c{rows, channels, seed % 3 != 0, static_cast<Activation>(seed / 2 % 3), seed % 4 < 2};
      SCOPED_TRACE(concat_text(rows, " x ", channels, c.training ? " training" : "", name_of(c.activation),
                               c.residual ? " residual" : ""));
      const Tensor x = random_tensor({rows, channels}, DType::F32, 100 * seed);
      const Tensor dy = random_tensor({rows, channels}, DType::F32, 100 * seed + 50);
      const Results exact = run(c, DType::F64, x, dy, 100 * seed);
      for_each_isa([&](cpu::Isa isa) {
        SCOPED_TRACE(to_string(isa));
        // With a few rows 1 / deviation may be large.
        compare(run(c, DType::F32, x, dy, 100 * seed), exact, rows > 5 ? 4e-6 : 1e-4);
      });
      if (testing::Test::HasFailure()) return;
    }
  }
  EXPECT_GE(cases, 200);
}

TEST(BatchNorm, ReferenceIsaAgreesWithF64) {
  const cpu::Isa before = cpu::active_isa();
  cpu::set_isa(cpu::Isa::Reference);
  const Case c{50, 19, true, kRelu, true};
  const Tensor x = random_tensor({50, 19}), dy = random_tensor({50, 19}, DType::F32, 2);
  compare(run(c, DType::F32, x, dy, 7), run(c, DType::F64, x, dy, 7), 2e-6);
  cpu::set_isa(before);
}

TEST(BatchNorm, BigMeanSmallDeviationStaysRight) {
  for_each_isa([&](cpu::Isa) {
    for (const int64_t channels : {3, 64}) {
      Tensor x = random_tensor({800, channels});
      for (int64_t i = 0; i < x.numel(); ++i) x.mutable_data<float>()[i] += 1000.0f;
      const Tensor dy = random_tensor(x.shape(), DType::F32, 5);
      const Case c{800, channels, true, kNone, false};
      compare(run(c, DType::F32, x, dy, 3), run(c, DType::F64, x, dy, 3), 2e-6);
    }
  });
}

TEST(BatchNorm, OneOutlierInTheFirstRowCostsNoDigits) {
  for_each_isa([&](cpu::Isa) {
    Tensor x = random_tensor({3000, 16});
    for (int64_t c = 0; c < 16; ++c) x.mutable_data<float>()[c] = 1e4f;
    Tensor mean = zeros({16}), variance = ones({16}), mean64 = zeros({16}, {.dtype = DType::F64}),
           variance64 = ones({16}, {.dtype = DType::F64});
    batch_norm(x, {}, {}, mean, variance);
    batch_norm(x.to(DType::F64), {}, {}, mean64, variance64);
    expect_close(mean, mean64, 1e-5);
    expect_close(variance, variance64, 1e-5);
  });
}

// A tensor inside a larger one, all NaN: unwritten elements and writes past the ends both show.
struct Guarded {
  explicit Guarded(const Shape& shape)
      : all(nan_tensor({shape.numel() + 64})),
        tensor(Tensor::view_of(Ref<Storage>(&all.storage()), 32, shape, DType::F32)) {}
  bool fences_hold() const {
    const float* p = all.data<float>();
    for (int64_t i = 0; i < 32; ++i)
      if (!std::isnan(p[i]) || !std::isnan(p[all.numel() - 1 - i])) return false;
    return true;
  }
  Tensor all, tensor;
};

TEST(BatchNorm, WritesEveryElementAndNothingElse) {
  for_each_isa([&](cpu::Isa) {
    for (const int64_t channels : {1, 3, 16, 21, 130, 515}) {
      for (const int64_t rows : {2, 5, 33, 70}) {
        const BatchNormGeometry g{
            .rows = rows, .channels = channels, .eps = 1e-5, .training = true, .activation = kRelu};
        const Tensor x = random_tensor({rows, channels}), none;
        const BatchNormInputs in{x, none, none, x, none};
        BatchNormState state{Tensor::empty({2, channels}, {.dtype = DType::F64}),
                             Tensor::empty({cpu::batch_norm_mask_words(g)}, {.dtype = DType::I32})};
        cpu::batch_norm_statistics(g, x, state.statistics);
        Guarded y(x.shape()), dx(x.shape()), dresidual(x.shape());
        cpu::batch_norm_apply(g, in, state, y.tensor);
        Tensor sums = Tensor::empty({3, channels}, {.dtype = DType::F64});
        cpu::batch_norm_backward_reduce(g, x, in, state, sums);
        cpu::batch_norm_backward_apply(g, x, in, state, sums, dx.tensor, dresidual.tensor);
        for (const Guarded* t : {&y, &dx, &dresidual}) {
          EXPECT_TRUE(t->fences_hold()) << rows << " x " << channels;
          for (const double v : t->tensor.to_vector())
            ASSERT_TRUE(std::isfinite(v)) << rows << " x " << channels;
        }
      }
    }
  });
}

TEST(BatchNorm, SumsOfSmallIntegersAreExact) {
  for_each_isa([&](cpu::Isa) {
    const Tensor x = random_tensor({700, 37}), dy = random_ints({700, 37}, DType::F32, 9, -8, 8);
    const Case c{700, 37, true, kRelu, true};
    const Results fast = run(c, DType::F32, x, dy, 4), exact = run(c, DType::F64, x, dy, 4);
    expect_close(fast.dbeta, exact.dbeta, 0);
    expect_close(fast.dresidual, exact.dresidual, 0);
  });
}

TEST(BatchNorm, SameBitsForAnyNumberOfThreads) {
  for (const int64_t channels : {5, 64, 600}) {
    const int64_t rows = 200000 / channels;
    const Tensor x = random_tensor({rows, channels}), dy = random_tensor({rows, channels}, DType::F32, 2);
    Results first;
    for_each_thread_count([&](int threads) {
      const Results r = run({rows, channels, true, kPrelu, true}, DType::F32, x, dy, 6);
      if (threads == 1) first = r;
      expect_equal_bits(r.y, first.y);
      expect_equal_bits(r.variance, first.variance);
      expect_equal_bits(r.dx, first.dx);
      expect_equal_bits(r.dgamma, first.dgamma);
      expect_equal_bits(r.dbeta, first.dbeta);
      expect_equal_bits(r.dresidual, first.dresidual);
      expect_equal_bits(r.dslope, first.dslope);
    });
  }
}

// PyTorch: batch {0, 2} has mean 1 and unbiased variance 2, so one step from (0, 1) gives 0.1 and 1.1.
TEST(BatchNorm, RunningStatisticsFollowPyTorchForThreeSteps) {
  Tensor mean = zeros({1}), variance = ones({1});
  const Tensor x = Tensor::from_data(std::vector<float>{0, 2}, {2, 1});
  const double expected_mean[] = {0.1, 0.19, 0.271}, expected_variance[] = {1.1, 1.19, 1.271};
  for (int step = 0; step < 3; ++step) {
    const Tensor y = batch_norm(x, ones({1}), zeros({1}), mean, variance);
    EXPECT_NEAR(mean.item(), expected_mean[step], 1e-7);
    EXPECT_NEAR(variance.item(), expected_variance[step], 2e-7);
    EXPECT_NEAR(y.to_vector()[1], 1 / std::sqrt(1 + 1e-5), 1e-6);  // normalised with the biased variance
  }
  batch_norm(x, {}, {}, mean, variance, {.training = false});
  EXPECT_NEAR(mean.item(), 0.271, 1e-7);  // evaluation leaves them alone
}

TEST(BatchNorm, ReluKeepsNaN) {
  for_each_isa([&](cpu::Isa) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const Tensor x = Tensor::from_data(std::vector<float>{nan, -1, 0, 2}, {2, 2});
    const auto y =
        batch_norm(x, {}, {}, zeros({2}), ones({2}), {.eps = 0, .training = false, .relu = true}).to_vector();
    EXPECT_TRUE(std::isnan(y[0]));
    EXPECT_EQ(y[1], 0);
    EXPECT_EQ(y[3], 2);
  });
}

TEST(GradCheck, batch_norm) {
  for (int options = 0; options < 12; ++options) {
    const bool training = options & 1, with_residual = options & 2;
    const auto activation = static_cast<Activation>(options / 4);
    SCOPED_TRACE(options);
    const auto f = [&](const std::vector<Tensor>& in) {
      Tensor mean = full({3}, 0.2, {.dtype = DType::F64}), variance = full({3}, 1.5, {.dtype = DType::F64});
      return batch_norm({.x = in[0],
                         .gamma = in[1],
                         .beta = in[2],
                         .running_mean = mean,
                         .running_var = variance,
                         .residual = with_residual ? in.back() : Tensor(),
                         .slope = activation == kPrelu ? in[3] : Tensor()},
                        {.training = training, .relu = activation == kRelu});
    };
    std::vector<Tensor> inputs{random_tensor({2, 2, 2, 3}, DType::F64, 11),
                               random_tensor({3}, DType::F64, 12), random_tensor({3}, DType::F64, 13)};
    if (activation == kPrelu) inputs.push_back(random_tensor({3}, DType::F64, 15));
    if (with_residual) inputs.push_back(random_tensor({2, 2, 2, 3}, DType::F64, 14));
    gradcheck(f, inputs);
  }
}

// bf16 activations: the sums are as exact as in f32, what is stored is rounded once (half a unit of 2^-8).
TEST(BatchNorm, Bf16ActivationsAgreeWithF64OnTheRoundedNumbers) {
  uint64_t seed = 1;
  for (const int64_t channels : {1, 3, 16, 33, 64, 130})
    for (const int64_t rows : {6, 33, 130}) {
      ++seed;
      const Case c{rows, channels, seed % 3 != 0, static_cast<Activation>(seed % 3), seed % 2 == 0};
      SCOPED_TRACE(concat_text(rows, " x ", channels, name_of(c.activation), c.residual ? " residual" : ""));
      const Tensor x = random_tensor({rows, channels}, DType::F32, 10 * seed).to(DType::BF16);
      const Tensor dy = random_tensor({rows, channels}, DType::F32, 10 * seed + 5).to(DType::BF16);
      const Results exact = run(c, DType::F64, x, dy, 10 * seed);
      for_each_isa([&](cpu::Isa) {
        const Results fast = run(c, DType::BF16, x, dy, 10 * seed);
        EXPECT_EQ(fast.y.dtype(), DType::BF16);
        EXPECT_EQ(fast.dgamma.dtype(), DType::F32);
        expect_close(fast.y, exact.y, 0x1p-8);
        expect_close(fast.dx, exact.dx, 0x1p-8);
        expect_close(fast.variance, exact.variance, 4e-6);
        expect_close_sums(fast.dgamma, exact.dgamma, rows);
        expect_close_sums(fast.dbeta, exact.dbeta, rows);
        if (c.residual) expect_close(fast.dresidual, exact.dresidual, 0x1p-8);
        if (c.activation == kPrelu) expect_close_sums(fast.dslope, exact.dslope, rows);
      });
    }
}

TEST(BatchNorm, GivenStatisticsReplaceThePass) {
  const Tensor x = random_tensor({40, 6}), statistics = Tensor::empty({2, 6}, {.dtype = DType::F64});
  cpu::batch_norm_statistics({.rows = 40, .channels = 6}, x, statistics);
  Tensor mean = zeros({6}), variance = ones({6}), mean2 = zeros({6}), variance2 = ones({6});
  const Tensor y = batch_norm(x, {}, {}, mean, variance);
  const Tensor given =
      batch_norm({.x = x, .running_mean = mean2, .running_var = variance2, .statistics = statistics});
  expect_equal_bits(y, given);
  expect_equal_bits(mean, mean2);
  expect_equal_bits(variance, variance2);
}

// The engine's gradient is overwritten where nobody else holds it; a caller's own is not.
TEST(BatchNorm, TheCallersGradientStaysAsItIs) {
  Tensor x = random_tensor({12, 5}).set_requires_grad();
  const Tensor dy = random_tensor({12, 5}, DType::F32, 3), before = dy.clone();
  batch_norm(x, {}, {}, {}, {}, {.relu = true}).backward(dy);
  expect_equal_bits(dy, before);
}

TEST(BatchNorm, ErrorsNameTheSizes) {
  const Tensor x = zeros({4, 3}), c = ones({3});
  expect_error<ShapeError>([&] { batch_norm(zeros({1, 3}), c, c, c.clone(), c.clone()); }, {"[1,3]", "hint"});
  expect_error<ShapeError>([&] { batch_norm(x, ones({4}), c, {}, {}); }, {"gamma", "[3]", "[4]"});
  expect_error<ShapeError>([&] { batch_norm(x, c, c, {}, {}, {}, zeros({4, 4})); }, {"residual", "[4,4]"});
  expect_error<DTypeError>([&] { batch_norm(x, c.to(DType::BF16), c, {}, {}); }, {"gamma", "bf16", "f32"});
  expect_error<UsageError>([&] { batch_norm({.x = x, .gamma = c, .slope = c}, {.relu = true}); }, {"slope"});
  expect_error<ShapeError>([&] { batch_norm({.x = x, .gamma = c, .slope = ones({1})}); }, {"slope", "[3]"});
  expect_error<DTypeError>([&] { batch_norm(x, c.to(DType::F64), c, {}, {}); }, {"gamma", "f64"});
  expect_error<UsageError>([&] { batch_norm(x, c, c, {}, {}, {.training = false}); }, {"running_mean"});
  EXPECT_EQ(batch_norm(zeros({0, 3}), c, c, c, c, {.training = false}).shape(), (Shape{0, 3}));
}

}  // namespace
}  // namespace tern
