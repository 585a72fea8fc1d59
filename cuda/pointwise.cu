// Every pointwise formula (ops/formulas.h) forward and backward, on f32 and bf16, computed in f32. Bound by
// memory: 16-byte accesses; what repeats is read once a vector.

#include "tern/ops/pointwise.h"

#include "tern/cuda/broadcast.cuh"
#include "tern/cuda/map.cuh"
#include "tern/ops/pointwise_backend.h"

namespace tern::cu {
namespace {

template <class F>
struct UnaryForward {
  F f;
  __device__ float operator()(const float (&x)[1]) const { return f.forward(x[0]); }
};
template <class F>
struct UnaryBackward {
  F f;
  __device__ float operator()(const float (&x)[2]) const { return f.backward(x[0], x[1]); }
};
struct Sum {
  __device__ float operator()(const float (&x)[2]) const { return x[0] + x[1]; }
};

template <class F>
void unary_forward(const F& f, const Tensor& x, const Tensor& y) {
  on_activation(F::kName, x.dtype(), [&]<class T>(T) {
    map(F::kName, stream_of(x), UnaryForward<F>{f}, output<T>(y), x.numel(), input<T>(x));
  });
}

template <class F>
void unary_backward(const F& f, const Tensor& saved, const Tensor& dy, const Tensor& dx) {
  on_activation(F::kName, dy.dtype(), [&]<class T>(T) {
    map(F::kName, stream_of(dy), UnaryBackward<F>{f}, output<T>(dx), dy.numel(), input<T>(saved),
        input<T>(dy));
  });
}

enum class Pass { Forward, BackwardA, BackwardB };

template <class F, Pass kPass>
struct Binary {
  F f;
  __device__ float operator()(float a, float b, float dy) const {
    if constexpr (kPass == Pass::Forward) return f.forward(a, b);
    else if constexpr (kPass == Pass::BackwardA) return f.backward_a(a, b, dy);
    else return f.backward_b(a, b, dy);
  }
};

// kEach neighbours of an operand: dense in the innermost dimension, or one value for all of them.
template <class T, int kEach>
__device__ __forceinline__ void load_operand(const T* x, int64_t stride, float (&v)[kEach]) {
  if (stride != 0) {
    load_vector(x, v);
  } else {
    const float same = load_float(x);
#pragma unroll
    for (int e = 0; e < kEach; ++e) v[e] = same;
  }
}

// y in whole vectors, [whole * kEach, n) element by element. A vector never crosses a row.
template <class T, class Body, bool kReadsDy>
__global__ void __launch_bounds__(kBlock) binary_kernel(Body body, BroadcastStrides s, const T* a, const T* b,
                                                        const T* dy, T* y, int64_t n, int64_t whole) {
  constexpr int kEach = kPerVector<T>;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t v = first; v < whole; v += step) {
    const Offsets at = offsets_at(s, v * kEach);
    float va[kEach], vb[kEach], vdy[kEach] = {}, out[kEach];
    load_operand(a + at.a, s.a[s.rank - 1], va);
    load_operand(b + at.b, s.b[s.rank - 1], vb);
    if constexpr (kReadsDy) load_vector(dy + v * kEach, vdy);
#pragma unroll
    for (int e = 0; e < kEach; ++e) out[e] = body(va[e], vb[e], vdy[e]);
    store_vector(y + v * kEach, out);
  }
  for (int64_t i = whole * kEach + first; i < n; i += step) {
    const Offsets at = offsets_at(s, i);
    const float d = kReadsDy ? load_float(dy + i) : 0.0f;
    store_float(y + i, body(load_float(a + at.a), load_float(b + at.b), d));
  }
}

template <class F, Pass kPass>
void binary(const F& f, const BroadcastGeometry& g, const Tensor& a, const Tensor& b, const Tensor* dy,
            const Tensor& y) {
  on_activation(F::kName, y.dtype(), [&]<class T>(T) {
    const T *pa = input<T>(a), *pb = input<T>(b), *pdy = dy ? input<T>(*dy) : nullptr;
    T* out = output<T>(y);
    const int64_t n = y.numel(), inner = g.size[static_cast<size_t>(g.rank - 1)];
    const bool vectors = aligned_to_vector(pa, pb, pdy, static_cast<const T*>(out)) &&
                         (g.rank == 1 || inner % kPerVector<T> == 0);
    const int64_t whole = vectors ? n / kPerVector<T> : 0;
    launch(F::kName, binary_kernel<T, Binary<F, kPass>, kPass != Pass::Forward>,
           blocks_for(n, vectors ? kPerVector<T> : 1), dim3(kBlock), 0, stream_of(y), Binary<F, kPass>{f},
           strides_of(g), pa, pb, pdy, out, n, whole);
  });
}

template <class F>
void binary_forward(const F& f, const BroadcastGeometry& g, const Tensor& a, const Tensor& b,
                    const Tensor& y) {
  binary<F, Pass::Forward>(f, g, a, b, nullptr, y);
}
template <class F, Pass kPass>
void binary_backward(const F& f, const BroadcastGeometry& g, const Tensor& a, const Tensor& b,
                     const Tensor& dy, const Tensor& dx) {
  binary<F, kPass>(f, g, a, b, &dy, dx);
}

template <class... U, class... B>
PointwiseBackend make_backend(FormulaList<U...>, FormulaList<B...>) {
  return {UnaryEntry<U>{&unary_forward<U>, &unary_backward<U>}...,
          BinaryEntry<B>{&binary_forward<B>, &binary_backward<B, Pass::BackwardA>,
                         &binary_backward<B, Pass::BackwardB>}...};
}

}  // namespace

const PointwiseBackend& pointwise_backend() {
  static const PointwiseBackend backend = make_backend(UnaryFormulas{}, BinaryFormulas{});
  return backend;
}

void add_in_place(const Tensor& a, const Tensor& b) {
  on_activation("add_in_place", a.dtype(), [&]<class T>(T) {
    map("add_in_place", stream_of(a), Sum{}, output<T>(a), a.numel(), input<T>(a), input<T>(b));
  });
}

}  // namespace tern::cu
