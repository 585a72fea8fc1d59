// Every pass of the operations that have no shape grid of their own (convolution, pools, batch norm, GEMM and
// the optimizers have), in f32, on every instruction set, over 216 odd shapes: values and gradients against
// the f64 loops, and exactly on small integers where the operation allows it.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tern/core/philox.h"
#include "tern/ops/contrastive_loss.h"
#include "tern/ops/cross_entropy.h"
#include "tern/ops/distance.h"
#include "tern/ops/l2_normalize.h"
#include "tern/ops/linear.h"
#include "tern/ops/matmul.h"
#include "tern/ops/pointwise.h"
#include "tern/ops/prelu.h"
#include "tern/ops/reduce.h"
#include "tern/ops/shape_ops.h"
#include "tern/ops/softmax.h"
#include "tern/ops/triplet_margin_loss.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using Inputs = std::vector<Tensor>;
constexpr int kShapes = 216;

// With few coordinates some points nearly coincide, and the gradient of a distance loses digits by nature:
// operations on points take four more.
//
// Sizes around the widths of vectors and blocks, and tiny ones; r rows, c columns, k a third size.
struct Sizes {
  int64_t r, c, k;
  int number;
};

struct Operation {
  const char* name;
  std::vector<Shape> (*shapes)(const Sizes&);
  Tensor (*run)(const Inputs& inputs, const Sizes& sizes);
  double tolerance = 2e-6;  // of the largest value, or gradient, of the case
  bool integers = false;    // exact there, gradients too
};

std::vector<Shape> one(const Sizes& s) { return {{s.r, s.c}}; }
std::vector<Shape> wide_one(const Sizes& s) { return {{s.r, s.c + 4}}; }
std::vector<Shape> two(const Sizes& s) { return {{s.r, s.c}, {s.r, s.c}}; }
std::vector<Shape> row(const Sizes& s) { return {{s.r, s.c}, {s.c}}; }
std::vector<Shape> column(const Sizes& s) { return {{s.r, s.c}, {s.r, 1}}; }

Tensor labels(const Sizes& s) {
  return test::random_ints({s.r}, DType::I64, 5, 0, static_cast<int>(s.c) - 1);
}

const Operation kOperations[] = {
    {"add_row", row, [](const Inputs& x, const Sizes&) { return add(x[0], x[1]); }, 2e-6, true},
    {"sub_column", column, [](const Inputs& x, const Sizes&) { return sub(x[0], x[1]); }, 2e-6, true},
    {"mul", two, [](const Inputs& x, const Sizes&) { return mul(x[0], x[1]); }, 2e-6, true},
    {"mul_row", row, [](const Inputs& x, const Sizes&) { return mul(x[0], x[1]); }, 2e-6, true},
    {"div", two, [](const Inputs& x, const Sizes&) { return div(x[0], add(abs(x[1]), 0.5)); }},
    {"maximum", two, [](const Inputs& x, const Sizes&) { return maximum(x[0], x[1]); }, 2e-6, true},
    {"relu", one, [](const Inputs& x, const Sizes&) { return relu(x[0]); }, 2e-6, true},
    {"leaky_relu", one, [](const Inputs& x, const Sizes&) { return leaky_relu(x[0], 0.25); }, 2e-6, true},
    {"prelu", row, [](const Inputs& x, const Sizes&) { return prelu(x[0], x[1]); }, 2e-6, true},
    {"clamp", one, [](const Inputs& x, const Sizes&) { return clamp(x[0], -1, 1); }, 2e-6, true},
    {"square", one, [](const Inputs& x, const Sizes&) { return square(x[0]); }, 2e-6, true},
    {"sigmoid", one, [](const Inputs& x, const Sizes&) { return sigmoid(x[0]); }},
    {"tanh", one, [](const Inputs& x, const Sizes&) { return tanh(x[0]); }},
    {"gelu", one, [](const Inputs& x, const Sizes&) { return gelu(x[0]); }},
    {"silu", one, [](const Inputs& x, const Sizes&) { return silu(x[0]); }},
    {"softplus", one, [](const Inputs& x, const Sizes&) { return softplus(x[0]); }},
    {"exp", one, [](const Inputs& x, const Sizes&) { return exp(x[0]); }},
    {"sqrt", one, [](const Inputs& x, const Sizes&) { return sqrt(add(square(x[0]), 1)); }},
    {"softmax", one, [](const Inputs& x, const Sizes&) { return softmax(x[0]); }},
    {"log_softmax", one, [](const Inputs& x, const Sizes&) { return log_softmax(x[0]); }, 4e-6},
    {"cross_entropy", one,
     [](const Inputs& x, const Sizes& s) {
       return cross_entropy(x[0], labels(s), {.label_smoothing = 0.1, .reduction = Reduction::None});
     },
     4e-6},
    {"l2_normalize", wide_one, [](const Inputs& x, const Sizes&) { return l2_normalize(x[0]); }},
    {"sum_rows", one, [](const Inputs& x, const Sizes&) { return sum(x[0], 0); }, 2e-6, true},
    {"sum_columns", one, [](const Inputs& x, const Sizes&) { return sum(x[0], 1); }, 2e-6, true},
    {"mean", one, [](const Inputs& x, const Sizes&) { return mean(x[0]); }},
    {"max_columns", one, [](const Inputs& x, const Sizes&) { return max(x[0], 1); }, 2e-6, true},
    {"transpose", one, [](const Inputs& x, const Sizes&) { return transpose(x[0]); }, 2e-6, true},
    {"concat", two,
     [](const Inputs& x, const Sizes&) {
       return concat({x[0], x[1]}, 1);
     },
     2e-6, true},
    {"linear",
     [](const Sizes& s) {
       return std::vector<Shape>{{s.r, s.c}, {s.k, s.c}, {s.k}};
     },
     [](const Inputs& x, const Sizes&) { return linear(x[0], x[1], x[2]); }, 4e-6, true},
    {"matmul",
     [](const Sizes& s) {
       return std::vector<Shape>{{s.r, s.c}, {s.c, s.k}};
     },
     [](const Inputs& x, const Sizes&) { return matmul(x[0], x[1]); }, 4e-6, true},
    {"pairwise_distance", two, [](const Inputs& x, const Sizes&) { return pairwise_distance(x[0], x[1]); }},
    {"cdist",
     [](const Sizes& s) {
       return std::vector<Shape>{{s.r, s.c + 4}, {s.k, s.c + 4}};
     },
     [](const Inputs& x, const Sizes&) { return cdist(x[0], x[1]); }, 2e-5},
    {"triplet_margin_loss",
     [](const Sizes& s) {
       return std::vector<Shape>(3, Shape{s.r, s.c});
     },
     [](const Inputs& x, const Sizes&) {
       return triplet_margin_loss(x[0], x[1], x[2], {.margin = 20, .reduction = Reduction::None});
     },
     4e-6},
    {"contrastive_loss", two,
     [](const Inputs& x, const Sizes& s) {
       const Tensor same = test::random_ints({s.r}, DType::I64, 6, 0, 1);
       return contrastive_loss(x[0], x[1], same, {.margin = 50, .reduction = Reduction::None});
     },
     4e-6},
};

Sizes sizes_of(int number) {
  PhiloxSequence random(9, RandomStream::Test, static_cast<uint64_t>(number));
  const auto size = [&] {
    constexpr int64_t kEdges[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 47};
    return kEdges[random.below(14)];
  };
  return {size(), size(), size(), number};
}

// Values of the operation and of its gradients, for the cotangent dy.
Inputs passes(const Operation& operation, const Inputs& leaves, const Sizes& sizes, Tensor& dy) {
  Inputs x;
  for (const Tensor& leaf : leaves) x.push_back(leaf.clone().set_requires_grad());
  const Tensor y = operation.run(x, sizes);
  if (!dy.defined()) dy = test::random_ints(y.shape(), DType::F64, 77, -3, 3);
  y.backward(dy.to(y.dtype()));
  Inputs out{y};
  for (const Tensor& leaf : x) out.push_back(leaf.grad());
  return out;
}

class ShapeSweep : public testing::TestWithParam<Operation> {};

TEST_P(ShapeSweep, EveryInstructionSetAgreesWithF64) {
  const Operation& operation = GetParam();
  for (int number = 0; number < kShapes; ++number) {
    const Sizes sizes = sizes_of(number);
    const bool integers = operation.integers && number % 3 == 0;
    Inputs wide, narrow;
    uint64_t seed = static_cast<uint64_t>(number) * 10;
    for (const Shape& shape : operation.shapes(sizes)) {
      narrow.push_back(integers ? test::random_ints(shape, DType::F32, ++seed, -4, 4)
                                : test::random_tensor(shape, DType::F32, ++seed));
      wide.push_back(narrow.back().to(DType::F64));
    }
    Tensor dy;
    const Inputs want = passes(operation, wide, sizes, dy);
    test::for_each_isa([&](cpu::Isa isa) {
      const Inputs got = passes(operation, narrow, sizes, dy);
      for (size_t i = 0; i < got.size(); ++i) {
        SCOPED_TRACE(concat_text(i == 0 ? "value" : concat_text("gradient ", i), ", rows ", sizes.r,
                                 ", columns ", sizes.c, ", k ", sizes.k, ", ", to_string(isa),
                                 integers ? ", integers" : ""));
        test::expect_close(got[i], want[i], integers ? 0 : operation.tolerance);
      }
    });
    if (testing::Test::HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, ShapeSweep, testing::ValuesIn(kOperations),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace tern
