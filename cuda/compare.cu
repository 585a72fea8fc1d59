// Comparison and choice (ops/compare.h): one pass, element by element.

#include "tern/ops/compare.h"

#include "tern/cuda/broadcast.cuh"
#include "tern/cuda/bytes.cuh"
#include "tern/ops/cast_formula.h"

namespace tern::cu {
namespace {

// bf16 compares as the f32 it is.
template <class T>
__device__ __forceinline__ T comparable(T x) {
  return x;
}
__device__ __forceinline__ float comparable(bfloat16 x) { return static_cast<float>(x); }

template <class T>
__global__ void compare_kernel(Comparison comparison, BroadcastStrides strides, const T* a, const T* b,
                               bool* y, int64_t n) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = first; i < n; i += step) {
    const Offsets at = offsets_at(strides, i);
    const auto p = comparable(a[at.a]), q = comparable(b[at.b]);
    bool result = false;
    switch (comparison) {
      case Comparison::Eq: result = p == q; break;
      case Comparison::Ne: result = p != q; break;
      case Comparison::Lt: result = p < q; break;
      case Comparison::Le: result = p <= q; break;
      case Comparison::Gt: result = p > q; break;
      case Comparison::Ge: result = p >= q; break;
    }
    y[i] = result;
  }
}

template <class T>
__global__ void where_kernel(const bool* condition, const T* a, const T* b, T* y, int64_t n) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = first; i < n; i += step) y[i] = condition[i] ? a[i] : b[i];
}

// The bits of 0 are 0 in every floating type.
template <class T>
__global__ void where_backward_kernel(const bool* condition, bool chosen, const T* dy, T* dx, int64_t n) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = first; i < n; i += step) dx[i] = condition[i] == chosen ? dy[i] : T(0);
}

}  // namespace

void compare(Comparison comparison, const BroadcastGeometry& geometry, const Tensor& a, const Tensor& b,
             const Tensor& y) {
  with_element_type(a.dtype(), [&]<class T>(T) {
    launch("compare", compare_kernel<T>, blocks_for(y.numel()), dim3(kBlock), 0, stream_of(y), comparison,
           strides_of(geometry), input<T>(a), input<T>(b), output<bool>(y), y.numel());
  });
}

void where(const Tensor& condition, const Tensor& a, const Tensor& b, const Tensor& y) {
  with_word(size_of(y.dtype()), [&]<class T>(T) {
    launch("where", where_kernel<T>, blocks_for(y.numel()), dim3(kBlock), 0, stream_of(y),
           input<bool>(condition), input<T>(a), input<T>(b), output<T>(y), y.numel());
  });
}

void where_backward(const Tensor& condition, bool chosen, const Tensor& dy, const Tensor& dx) {
  const auto run = [&]<class T>(T) {
    launch("where_backward", where_backward_kernel<T>, blocks_for(dx.numel()), dim3(kBlock), 0, stream_of(dx),
           input<bool>(condition), chosen, input<T>(dy), output<T>(dx), dx.numel());
  };
  if (dx.dtype() == DType::BF16) return run(uint16_t{});
  if (dx.dtype() == DType::F64) return run(uint64_t{});
  run(uint32_t{});
}

}  // namespace tern::cu
