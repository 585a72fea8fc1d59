// broadcast_to (ops/broadcast.h): a copy of elements whose values do not matter, only their size.

#include "tern/cuda/broadcast.cuh"

#include "tern/cuda/bytes.cuh"

namespace tern::cu {
namespace {

template <class T>
__global__ void broadcast_copy_kernel(BroadcastStrides strides, const T* x, T* y, int64_t n) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = first; i < n; i += step) y[i] = x[offsets_at(strides, i).a];
}

}  // namespace

void broadcast_copy(const BroadcastGeometry& geometry, const Tensor& x, const Tensor& y) {
  with_word(size_of(x.dtype()), [&]<class T>(T) {
    launch("broadcast_copy", broadcast_copy_kernel<T>, blocks_for(y.numel()), dim3(kBlock), 0, stream_of(y),
           strides_of(geometry), input<T>(x), output<T>(y), y.numel());
  });
}

}  // namespace tern::cu
