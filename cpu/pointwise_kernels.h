#pragma once
// Vector kernels of the pointwise formulas on f32 and bf16, one table per instruction set
// (cpu/pointwise_kernels.cpp).

#include <cstdint>

#include "tern/core/dtype.h"
#include "tern/ops/formulas.h"

namespace tern::cpu {

// rows x cols elements of out, and of dy where there is one, dense. An operand starts a row a_row (b_row)
// elements after the one before and moves along it, or, where it is repeated, gives one value to the whole
// row.
template <class T>
struct BinaryRows {
  const T* a;
  const T* b;
  const T* dy;
  T* out;
  int64_t rows, cols;
  int64_t a_row, b_row;
  bool a_moves, b_moves;
};

template <class F, class T>
struct UnaryKernels {
  void (*forward)(const F&, const T* x, T* y, int64_t n);
  void (*backward)(const F&, const T* saved, const T* dy, T* dx, int64_t n);
};
template <class F, class T>
struct BinaryKernels {
  void (*forward)(const F&, const BinaryRows<T>&);
  void (*backward_a)(const F&, const BinaryRows<T>&);
  void (*backward_b)(const F&, const BinaryRows<T>&);
};
template <class T>
struct AddInPlace {
  void (*add_in_place)(T* a, const T* b, int64_t n);
};

template <class T, class Unary, class Binary>
struct KernelTable;
template <class T, class... U, class... B>
struct KernelTable<T, FormulaList<U...>, FormulaList<B...>>
    : UnaryKernels<U, T>..., BinaryKernels<B, T>..., AddInPlace<T> {};
struct PointwiseKernels : KernelTable<float, UnaryFormulas, BinaryFormulas>,
                          KernelTable<bfloat16, UnaryFormulas, BinaryFormulas> {};

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
