#include "tern/ops/compare.h"

#include "tern/core/parallel.h"
#include "tern/cpu/bf16.h"
#include "tern/cpu/grain.h"
#include "tern/cpu/reference/pointwise.h"

// Comparison is not on any hot path: the naive loops, threaded, are all there is.

namespace tern::cpu {
namespace {

template <class T, class Test>
void compare_loop(const BroadcastGeometry& g, const T* a, const T* b, bool* y, Test&& test) {
  parallel_for(g.shape.numel(), kElementGrain, [&](int64_t begin, int64_t end) {
    if (g.rank == 1) {
      const int64_t da = g.a_stride[0], db = g.b_stride[0];
      for (int64_t i = begin; i < end; ++i) y[i] = test(a[i * da], b[i * db]);
      return;
    }
    reference::for_each_broadcast(g, begin, end,
                                  [&](int64_t i, int64_t ia, int64_t ib) { y[i] = test(a[ia], b[ib]); });
  });
}

template <class T>
void compare_as(Comparison comparison, const BroadcastGeometry& g, const Tensor& a, const Tensor& b,
                bool* y) {
  const T *pa = a.data<T>(), *pb = b.data<T>();
  switch (comparison) {
    case Comparison::Eq: return compare_loop(g, pa, pb, y, [](T p, T q) { return p == q; });
    case Comparison::Ne: return compare_loop(g, pa, pb, y, [](T p, T q) { return p != q; });
    case Comparison::Lt: return compare_loop(g, pa, pb, y, [](T p, T q) { return p < q; });
    case Comparison::Le: return compare_loop(g, pa, pb, y, [](T p, T q) { return p <= q; });
    case Comparison::Gt: return compare_loop(g, pa, pb, y, [](T p, T q) { return p > q; });
    case Comparison::Ge: return compare_loop(g, pa, pb, y, [](T p, T q) { return p >= q; });
  }
}

template <class T>
void where_as(const bool* c, const void* a, const void* b, void* y, int64_t n) {
  const T *pa = static_cast<const T*>(a), *pb = static_cast<const T*>(b);
  T* out = static_cast<T*>(y);
  parallel_for(n, kElementGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = c[i] ? pa[i] : pb[i];
  });
}

template <class T>
void where_backward_as(const bool* c, bool chosen, const T* dy, T* dx, int64_t n) {
  parallel_for(n, kElementGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) dx[i] = c[i] == chosen ? dy[i] : T(0);
  });
}

}  // namespace

void compare(Comparison comparison, const BroadcastGeometry& g, const Tensor& a, const Tensor& b,
             const Tensor& y) {
  bool* out = y.mutable_data<bool>();
  switch (a.dtype()) {
    case DType::F32: return compare_as<float>(comparison, g, a, b, out);
    case DType::F64: return compare_as<double>(comparison, g, a, b, out);
    case DType::I64: return compare_as<int64_t>(comparison, g, a, b, out);
    case DType::I32: return compare_as<int32_t>(comparison, g, a, b, out);
    case DType::U8: return compare_as<uint8_t>(comparison, g, a, b, out);
    case DType::Bool: return compare_as<bool>(comparison, g, a, b, out);
    case DType::BF16: return compare(comparison, g, widened(a), widened(b), y);
  }
}

void where(const Tensor& condition, const Tensor& a, const Tensor& b, const Tensor& y) {
  const bool* c = condition.data<bool>();
  switch (size_of(a.dtype())) {
    case 1: return where_as<uint8_t>(c, a.raw_data(), b.raw_data(), y.raw_data(), y.numel());
    case 2: return where_as<uint16_t>(c, a.raw_data(), b.raw_data(), y.raw_data(), y.numel());
    case 4: return where_as<uint32_t>(c, a.raw_data(), b.raw_data(), y.raw_data(), y.numel());
    default: return where_as<uint64_t>(c, a.raw_data(), b.raw_data(), y.raw_data(), y.numel());
  }
}

void where_backward(const Tensor& condition, bool chosen, const Tensor& dy, const Tensor& dx) {
  const bool* c = condition.data<bool>();
  if (dy.dtype() == DType::F64)
    return where_backward_as(c, chosen, dy.data<double>(), dx.mutable_data<double>(), dy.numel());
  if (dy.dtype() == DType::BF16)
    return where_backward_as(c, chosen, dy.data<bfloat16>(), dx.mutable_data<bfloat16>(), dy.numel());
  where_backward_as(c, chosen, dy.data<float>(), dx.mutable_data<float>(), dy.numel());
}

}  // namespace tern::cpu
