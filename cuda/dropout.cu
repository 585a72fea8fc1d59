// Dropout (ops/dropout.h): a Philox block of four words for four elements, the same words as on the CPU.

#include "tern/ops/dropout.h"

#include "tern/cuda/vector_access.cuh"
#include "tern/ops/dropout_formula.h"

namespace tern::cu {
namespace {

constexpr int kWords = 4;  // of a Philox block

template <class T>
__global__ void __launch_bounds__(kBlock)
    dropout_kernel(DropoutFormula<float> formula, DrawStep at, const T* x, T* y, int64_t n, bool vectors) {
  constexpr int kEach = kPerVector<T>;
  formula.step = at.now();
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  const int64_t whole = vectors ? n / kEach : 0;
  for (int64_t v = first; v < whole; v += step) {
    float values[kEach];
    load_vector(x + v * kEach, values);
#pragma unroll
    for (int b = 0; b < kEach / kWords; ++b) {
      const PhiloxBlock block = formula.block(v * (kEach / kWords) + b);
#pragma unroll
      for (int k = 0; k < kWords; ++k)
        values[b * kWords + k] = formula.forward(values[b * kWords + k], block.value[k]);
    }
    store_vector(y + v * kEach, values);
  }
  const int64_t blocks = (n + kWords - 1) / kWords;
  for (int64_t b = whole * (kEach / kWords) + first; b < blocks; b += step) {
    const PhiloxBlock block = formula.block(b);
#pragma unroll
    for (int k = 0; k < kWords; ++k) {
      const int64_t i = b * kWords + k;
      if (i < n) store_float(y + i, formula.forward(load_float(x + i), block.value[k]));
    }
  }
}

}  // namespace

void dropout(const DropoutOptions& options, const Tensor& x, const Tensor& y) {
  const auto formula = dropout_formula<float>(options.seed, options.step, options.p);
  on_activation("dropout", x.dtype(), [&]<class T>(T) {
    const bool vectors = aligned_to_vector(input<T>(x), input<T>(y));
    launch("dropout", dropout_kernel<T>, blocks_for(x.numel(), vectors ? kPerVector<T> : kWords),
           dim3(kBlock), 0, stream_of(x), formula, draw_step(x.device(), options.step, options.per_step),
           input<T>(x), output<T>(y), x.numel(), vectors);
  });
}

}  // namespace tern::cu
