#pragma once
// Vector kernels of the pointwise formulas on f32, one table per instruction set (cpu/pointwise_kernels.cpp).

#include <cstdint>

#include "tern/ops/formulas.h"

namespace tern::cpu {

// rows x cols elements of out, and of dy where there is one, dense. An operand starts a row a_row (b_row)
// elements after the one before and moves along it, or, where it is repeated, gives one value to the whole
// row.
struct BinaryRows {
  const float* a;
  const float* b;
  const float* dy;
  float* out;
  int64_t rows, cols;
  int64_t a_row, b_row;
  bool a_moves, b_moves;
};

template <class F>
struct UnaryKernels {
  void (*forward)(const F&, const float* x, float* y, int64_t n);
  void (*backward)(const F&, const float* saved, const float* dy, float* dx, int64_t n);
};
template <class F>
struct BinaryKernels {
  void (*forward)(const F&, const BinaryRows&);
  void (*backward_a)(const F&, const BinaryRows&);
  void (*backward_b)(const F&, const BinaryRows&);
};

template <class Unary, class Binary>
struct KernelTable;
template <class... U, class... B>
struct KernelTable<FormulaList<U...>, FormulaList<B...>> : UnaryKernels<U>..., BinaryKernels<B>... {
  void (*add_in_place)(float* a, const float* b, int64_t n);
};
using PointwiseKernels = KernelTable<UnaryFormulas, BinaryFormulas>;

namespace baseline {
extern const PointwiseKernels pointwise_table;
}
namespace avx2 {
extern const PointwiseKernels pointwise_table;
}
namespace avx512 {
extern const PointwiseKernels pointwise_table;
}

}  // namespace tern::cpu
