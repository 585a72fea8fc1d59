// Pointwise operations on the device against the naive loops: every formula, forward and backward, f32 and
// bf16.

#include "tern/ops/pointwise.h"

#include "tern/ops/pointwise_nodes.h"
#include "tern/ops/shape_ops.h"
#include "tern/tests/nogpu/parity.h"
#include "tests/ops/pointwise_table.h"

namespace tern::test {
namespace {

// Values inside the domain that a row of the table names.
Tensor values_for(const UnaryRow& row, int64_t n, DType dtype, uint64_t seed) {
  const Tensor u = add(random_tensor({n}, DType::F32, seed), 0.0);
  return clamp(row.low >= 0 || row.low > -1 ? add(abs(u), 0.25) : u, row.low, row.high).to(dtype);
}

TEST(NoGpuPointwise, ReluOfEverySize) {
  for (const int64_t n : kSizes)
    for (const DType dtype : {DType::F32, DType::BF16})
      expect_parity([](const Tensors& x) { return relu(x[0]); }, {random_tensor({n}, dtype)},
                    {.tolerance = 0});
}

TEST(NoGpuPointwise, EveryUnaryFormula) {
  for_each_formula(UnaryFormulas{}, [](const auto& formula) {
    const UnaryRow* row = find_row(unary_rows(), key_of(formula));
    ASSERT_NE(row, nullptr);
    SCOPED_TRACE(row->name);
    for (const DType dtype : {DType::F32, DType::BF16})
      expect_parity([&](const Tensors& x) { return unary(formula, x[0]); },
                    {values_for(*row, 301, dtype, 3)});
  });
}

// Rows, columns, scalars, several axes; widths that do and do not come in whole vectors.
TEST(NoGpuPointwise, EveryBinaryFormulaOverBroadcastShapes) {
  const std::vector<std::pair<Shape, Shape>> shapes = {{{301}, {301}},      {{0}, {0}},
                                                       {{5, 8}, {8}},       {{8}, {5, 8}},
                                                       {{5, 7}, {7}},       {{64}, {1}},
                                                       {{}, {9}},           {{3, 1}, {3, 16}},
                                                       {{4, 1, 8}, {3, 1}}, {{2, 3, 4, 5}, {2, 1, 4, 1}},
                                                       {{1024}, {}},        {{33, 16}, {33, 16}}};
  for_each_formula(BinaryFormulas{}, [&](const auto& formula) {
    SCOPED_TRACE(formula.kName);
    for (const auto& [a, b] : shapes)
      for (const DType dtype : {DType::F32, DType::BF16})
        expect_parity([&](const Tensors& x) { return binary(formula, x[0], x[1]); },
                      {add(random_tensor(a, DType::F32, 5), 3.5).to(dtype),
                       add(random_tensor(b, DType::F32, 6), -4.5).to(dtype)},
                      {.gradients = false});
  });
}

TEST(NoGpuPointwise, GradientsOfBinaryFormulas) {
  for_each_formula(BinaryFormulas{}, [&](const auto& formula) {
    SCOPED_TRACE(formula.kName);
    for (const DType dtype : {DType::F32, DType::BF16})
      for (const int64_t n : {1, 7, 264})
        expect_parity([&](const Tensors& x) { return binary(formula, x[0], x[1]); },
                      {add(random_tensor({n}, DType::F32, 5), 3.5).to(dtype),
                       add(random_tensor({n}, DType::F32, 6), -4.5).to(dtype)});
  });
}

// One tensor used twice: its gradients are added up, in place where nobody else holds the sum.
TEST(NoGpuPointwise, GradientsOfSharedInputsAddUp) {
  for (const DType dtype : {DType::F32, DType::BF16})
    expect_parity([](const Tensors& x) { return add(mul(x[0], x[0]), relu(x[0])); },
                  {random_tensor({77}, dtype)});
}

TEST(NoGpuPointwise, OddAddressesTakeTheScalarPath) {
  for (const int64_t begin : {1, 2, 3})
    expect_parity([&](const Tensors& x) { return sigmoid(slice(x[0], begin, 50)); }, {random_tensor({50})});
}

TEST(NoGpuPointwise, RefusesF64ByName) {
  expect_error<DTypeError>([] { relu(random_tensor({3}, DType::F64).to(kCuda)); },
                           {"relu", "f64", "on cuda", "f32 and bf16", "on the CPU"});
}

}  // namespace
}  // namespace tern::test
