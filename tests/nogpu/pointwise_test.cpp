// Pointwise operations on the device against the naive loops: every formula, forward and backward, f32 and
// bf16.

#include "tern/ops/pointwise.h"

#include "tern/ops/pointwise_nodes.h"
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

}  // namespace
}  // namespace tern::test
