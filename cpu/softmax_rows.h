#pragma once
// What softmax and cross-entropy share on the CPU: the kernels of the instruction set, the cut into rows, the
// element types.

#include <algorithm>
#include <string_view>

#include "tern/core/error.h"
#include "tern/core/parallel.h"
#include "tern/core/tensor.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/softmax_kernels.h"

namespace tern::cpu {

inline const SoftmaxKernels& softmax_kernels() {
  return isa_pick(
      []() -> auto& { return baseline::softmax_table; }, []() -> auto& { return avx2::softmax_table; },
      []() -> auto& { return avx512::softmax_table; });
}

// body(first row, end row)
template <class Body>
void for_each_row(int64_t rows, int64_t C, const Body& body) {
  parallel_for(rows, std::max<int64_t>(1, 4096 / C), body);
}

// fast() for f32 on the vector kernels, naive(T{}) for everything the reference loops do.
template <class Fast, class Naive>
void dispatch(const char* op, DType dtype, Fast&& fast, Naive&& naive) {
  if (dtype == DType::F64) return naive(double{});
  check<DTypeError>(dtype == DType::F32, op, ": dtype ", dtype,
                    " is not supported on the CPU, allowed are f32 and f64",
                    "; hint: cast with to(DType::F32)");
  if (use_reference()) return naive(float{});
  fast();
}

}  // namespace tern::cpu
