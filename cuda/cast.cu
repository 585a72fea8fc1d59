// Casts between all element types (ops/cast.h). f32 and bf16, which a training step casts between, take 16
// bytes of f32 a thread.

#include "tern/ops/cast.h"

#include "tern/cuda/vector_access.cuh"
#include "tern/ops/cast_formula.h"

namespace tern::cu {
namespace {

template <class From, class To>
__global__ void cast_kernel(const From* x, To* y, int64_t n) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = first; i < n; i += step) y[i] = convert<To>(x[i]);
}

// Eight elements a thread: one 16-byte access of bf16, two of f32.
__global__ void widen_kernel(const bfloat16* x, float* y, int64_t n) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  const int64_t whole = n / 8;
  for (int64_t v = first; v < whole; v += step) {
    float wide[8];
    load_vector(x + v * 8, wide);
    store_vector(y + v * 8, {wide[0], wide[1], wide[2], wide[3]});
    store_vector(y + v * 8 + 4, {wide[4], wide[5], wide[6], wide[7]});
  }
  for (int64_t i = whole * 8 + first; i < n; i += step) y[i] = load_float(x + i);
}
__global__ void narrow_kernel(const float* x, bfloat16* y, int64_t n) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  const int64_t whole = n / 8;
  for (int64_t v = first; v < whole; v += step) {
    float low[4], high[4];
    load_vector(x + v * 8, low);
    load_vector(x + v * 8 + 4, high);
    store_vector(y + v * 8, {low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]});
  }
  for (int64_t i = whole * 8 + first; i < n; i += step) store_float(y + i, x[i]);
}

}  // namespace

void cast(const Tensor& x, const Tensor& y) {
  const int64_t n = x.numel();
  const bool vectors = aligned_to_vector(input<char>(x), input<char>(y));
  if (vectors && x.dtype() == DType::BF16 && y.dtype() == DType::F32)
    return launch("cast", widen_kernel, blocks_for(n, 8), dim3(kBlock), 0, stream_of(x), input<bfloat16>(x),
                  output<float>(y), n);
  if (vectors && x.dtype() == DType::F32 && y.dtype() == DType::BF16)
    return launch("cast", narrow_kernel, blocks_for(n, 8), dim3(kBlock), 0, stream_of(x), input<float>(x),
                  output<bfloat16>(y), n);
  with_element_type(x.dtype(), [&]<class From>(From) {
    with_element_type(y.dtype(), [&]<class To>(To) {
      launch("cast", cast_kernel<From, To>, blocks_for(n), dim3(kBlock), 0, stream_of(x), input<From>(x),
             output<To>(y), n);
    });
  });
}

}  // namespace tern::cu
