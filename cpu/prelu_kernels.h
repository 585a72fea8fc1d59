#pragma once
// Vector code of PReLU. A kernel works on a block: some rows times at most kPanelBlock channels of a
// row-major matrix whose rows are `stride` elements apart; every pointer points at the block's first element.
// T is the type of the activations, float or bfloat16; there is one slope per column.

#include <cstdint>

#include "tern/core/dtype.h"

namespace tern::cpu {

struct PreluBlock {
  int64_t rows, channels, stride;
};

template <class T>
struct PreluKernels {
  void (*forward)(const PreluBlock& b, const T* x, const float* slope, T* y);
  // dx, which may be dy, and dslope[channels], the sums over the block's rows.
  void (*backward)(const PreluBlock& b, const T* x, const float* slope, const T* dy, T* dx, double* dslope);
};

namespace baseline {
extern const PreluKernels<float> prelu_table;
extern const PreluKernels<bfloat16> prelu_bf16_table;
}  // namespace baseline
namespace avx2 {
extern const PreluKernels<float> prelu_table;
extern const PreluKernels<bfloat16> prelu_bf16_table;
}  // namespace avx2
namespace avx512 {
extern const PreluKernels<float> prelu_table;
extern const PreluKernels<bfloat16> prelu_bf16_table;
}  // namespace avx512

}  // namespace tern::cpu
