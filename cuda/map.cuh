#pragma once
// y[i] = body(x0[i], x1[i], ...) over whole tensors of one shape and type: the kernel of every operation that
// works element by element. A grid-stride loop of 16-byte accesses where all pointers allow it.
//
// A body is a struct with float operator()(const float (&x)[kInputs]) const. An output may be one of the
// inputs.

#include "tern/cuda/vector_access.cuh"

namespace tern::cu {

template <class T, int kInputs>
struct MapInputs {
  const T* x[kInputs];
};

// Without the 1, ptxas saves registers by spilling in two of the bodies.
template <class T, int kInputs, class Body>
__global__ void __launch_bounds__(kBlock, 1)
    map_kernel(Body body, MapInputs<T, kInputs> in, T* y, int64_t n, bool vectors) {
  constexpr int kEach = kPerVector<T>;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  const int64_t whole = vectors ? n / kEach : 0;
  for (int64_t v = first; v < whole; v += step) {
    float x[kInputs][kEach], out[kEach];
#pragma unroll
    for (int k = 0; k < kInputs; ++k) load_vector(in.x[k] + v * kEach, x[k]);
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      float at[kInputs];
#pragma unroll
      for (int k = 0; k < kInputs; ++k) at[k] = x[k][e];
      out[e] = body(at);
    }
    store_vector(y + v * kEach, out);
  }
  for (int64_t i = whole * kEach + first; i < n; i += step) {
    float at[kInputs];
#pragma unroll
    for (int k = 0; k < kInputs; ++k) at[k] = load_float(in.x[k] + i);
    store_float(y + i, body(at));
  }
}

template <class T, class Body, class... In>
void map(const char* name, cudaStream_t stream, const Body& body, T* y, int64_t n, const In*... x) {
  const bool vectors = aligned_to_vector(y, x...);
  launch(name, map_kernel<T, sizeof...(In), Body>, blocks_for(n, vectors ? kPerVector<T> : 1), dim3(kBlock),
         0, stream, body, MapInputs<T, sizeof...(In)>{{x...}}, y, n, vectors);
}

}  // namespace tern::cu
