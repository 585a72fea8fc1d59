#include "tern/ops/pointwise.h"

#include <algorithm>

#include "tern/core/parallel.h"
#include "tern/cpu/bf16.h"
#include "tern/cpu/grain.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/pointwise_kernels.h"
#include "tern/cpu/reference/pointwise.h"
#include "tern/ops/pointwise_backend.h"

namespace tern::cpu {
namespace {

const PointwiseKernels& pointwise_kernels() {
  return isa_pick(
      []() -> auto& { return baseline::pointwise_table; }, []() -> auto& { return avx2::pointwise_table; },
      []() -> auto& { return avx512::pointwise_table; });
}

// fast(T{}) for f32 and bf16 on the vector kernels, naive(T{}) for what the reference loops do; in_f32() runs
// the operation on f32 copies of bf16 tensors.
template <class Fast, class Naive, class InF32>
void dispatch(const char* op, DType dtype, Fast&& fast, Naive&& naive, InF32&& in_f32) {
  switch (dtype) {
    case DType::F32: return use_reference() ? naive(float{}) : fast(float{});
    case DType::BF16: return use_reference() ? in_f32() : fast(bfloat16{});
    case DType::F64: return naive(double{});
    default: break;
  }
  check<DTypeError>(false, op, ": dtype ", dtype,
                    " is not supported on the CPU, allowed are f32, f64 and bf16",
                    "; hint: cast with to(DType::F32)");
}

template <class F>
void unary_forward(const F& f, const Tensor& x, const Tensor& y) {
  dispatch(
      F::kName, x.dtype(),
      [&]<class T>(T) {
        const T* in = x.data<T>();
        T* out = y.mutable_data<T>();
        const UnaryKernels<F, T>& k = pointwise_kernels();
        parallel_for(x.numel(), kElementGrain,
                     [&](int64_t begin, int64_t end) { k.forward(f, in + begin, out + begin, end - begin); });
      },
      [&]<class T>(T) { reference::unary_forward(f, x.data<T>(), y.mutable_data<T>(), x.numel()); },
      [&] { narrowing(y, [&](const Tensor& out) { unary_forward(f, widened(x), out); }); });
}

template <class F>
void unary_backward(const F& f, const Tensor& saved, const Tensor& dy, const Tensor& dx) {
  dispatch(
      F::kName, dy.dtype(),
      [&]<class T>(T) {
        const T *s = saved.data<T>(), *in = dy.data<T>();
        T* out = dx.mutable_data<T>();
        const UnaryKernels<F, T>& k = pointwise_kernels();
        parallel_for(dy.numel(), kElementGrain, [&](int64_t begin, int64_t end) {
          k.backward(f, s + begin, in + begin, out + begin, end - begin);
        });
      },
      [&]<class T>(T) {
        reference::unary_backward(f, saved.data<T>(), dy.data<T>(), dx.mutable_data<T>(), dy.numel());
      },
      [&] {
        narrowing(dx, [&](const Tensor& out) { unary_backward(f, widened(saved), widened(dy), out); });
      });
}

// Short rows against one vector [C] waste most of a machine vector: the vector is written out several times
// over, and several rows become one. Every element is computed as before.
template <class T, class Kernel>
void run_rows(const BinaryRows<T>& r, const Kernel& kernel) {
  constexpr int64_t kShort = 64, kWide = 256;
  const bool a_same = r.a_moves && r.a_row == 0, b_same = r.b_moves && r.b_row == 0;
  const bool a_dense = r.a_moves && r.a_row == r.cols, b_dense = r.b_moves && r.b_row == r.cols;
  if (r.rows < 4 || r.cols >= kShort || !((a_same && b_dense) || (b_same && a_dense))) return kernel(r);
  T wide[kWide];
  const int64_t copies = std::min(r.rows, kWide / r.cols);
  for (int64_t i = 0; i < copies; ++i) std::copy_n(a_same ? r.a : r.b, r.cols, wide + i * r.cols);
  BinaryRows<T> part = r;
  (a_same ? part.a : part.b) = wide;
  part.rows = r.rows / copies;
  part.cols = r.cols * copies;
  (a_same ? part.b_row : part.a_row) = part.cols;
  kernel(part);
  const int64_t done = part.rows * part.cols;
  part.cols = r.rows * r.cols - done;
  part.rows = part.cols > 0 ? 1 : 0;
  (a_same ? part.b : part.a) += done;
  if (part.dy) part.dy += done;
  part.out += done;
  kernel(part);
}

// Runs a row kernel over the whole geometry. The two innermost merged dimensions are the rows and columns of
// a call, an odometer walks the others; one long row is cut along its columns.
template <class T, class Kernel>
void for_each_rows(const BroadcastGeometry& g, const BinaryRows<T>& base, const Kernel& kernel) {
  const auto inner = static_cast<size_t>(g.rank - 1);
  BinaryRows<T> all = base;
  all.rows = 1;
  all.cols = g.size[inner];
  all.a_moves = g.a_stride[inner] != 0;
  all.b_moves = g.b_stride[inner] != 0;
  if (g.rank == 1) {
    parallel_for(all.cols, kElementGrain, [&](int64_t begin, int64_t end) {
      BinaryRows<T> part = all;
      part.cols = end - begin;
      if (all.a_moves) part.a += begin;
      if (all.b_moves) part.b += begin;
      if (all.dy) part.dy += begin;
      part.out += begin;
      kernel(part);
    });
    return;
  }
  const size_t outer = inner - 1;
  all.a_row = g.a_stride[outer];
  all.b_row = g.b_stride[outer];
  const int64_t total = all.cols == 0 ? 0 : g.shape.numel() / all.cols;
  parallel_for(total, std::max<int64_t>(1, kElementGrain / std::max<int64_t>(1, all.cols)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end;) {
                   const int64_t first = row % g.size[outer];
                   BinaryRows<T> part = all;
                   part.rows = std::min(end - row, g.size[outer] - first);
                   part.a += first * all.a_row;
                   part.b += first * all.b_row;
                   int64_t rest = row / g.size[outer];
                   for (size_t d = outer; d-- > 0;) {
                     part.a += rest % g.size[d] * g.a_stride[d];
                     part.b += rest % g.size[d] * g.b_stride[d];
                     rest /= g.size[d];
                   }
                   if (all.dy) part.dy += row * all.cols;
                   part.out += row * all.cols;
                   run_rows(part, kernel);
                   row += part.rows;
                 }
               });
}

template <class F>
void binary_forward(const F& f, const BroadcastGeometry& g, const Tensor& a, const Tensor& b,
                    const Tensor& y) {
  dispatch(
      F::kName, a.dtype(),
      [&]<class T>(T) {
        const BinaryKernels<F, T>& k = pointwise_kernels();
        const BinaryRows<T> base{.a = a.data<T>(), .b = b.data<T>(), .out = y.mutable_data<T>()};
        for_each_rows(g, base, [&](const BinaryRows<T>& rows) { k.forward(f, rows); });
      },
      [&]<class T>(T) {
        const T *pa = a.data<T>(), *pb = b.data<T>();
        T* out = y.mutable_data<T>();
        reference::for_each_broadcast(
            g, 0, y.numel(), [&](int64_t i, int64_t ia, int64_t ib) { out[i] = f.forward(pa[ia], pb[ib]); });
      },
      [&] { narrowing(y, [&](const Tensor& out) { binary_forward(f, g, widened(a), widened(b), out); }); });
}

template <class F, bool kOfA>
void binary_backward(const F& f, const BroadcastGeometry& g, const Tensor& a, const Tensor& b,
                     const Tensor& dy, const Tensor& dx) {
  dispatch(
      F::kName, dy.dtype(),
      [&]<class T>(T) {
        const BinaryKernels<F, T>& k = pointwise_kernels();
        const BinaryRows<T> base{
            .a = a.data<T>(), .b = b.data<T>(), .dy = dy.data<T>(), .out = dx.mutable_data<T>()};
        const auto kernel = kOfA ? k.backward_a : k.backward_b;
        for_each_rows(g, base, [&](const BinaryRows<T>& rows) { kernel(f, rows); });
      },
      [&]<class T>(T) {
        const T *pa = a.data<T>(), *pb = b.data<T>(), *pdy = dy.data<T>();
        T* out = dx.mutable_data<T>();
        reference::for_each_broadcast(g, 0, dy.numel(), [&](int64_t i, int64_t ia, int64_t ib) {
          if constexpr (kOfA) out[i] = f.backward_a(pa[ia], pb[ib], pdy[i]);
          else out[i] = f.backward_b(pa[ia], pb[ib], pdy[i]);
        });
      },
      [&] {
        narrowing(dx, [&](const Tensor& out) {
          binary_backward<F, kOfA>(f, g, widened(a), widened(b), widened(dy), out);
        });
      });
}

template <class... U, class... B>
constexpr PointwiseBackend make_backend(FormulaList<U...>, FormulaList<B...>) {
  return {UnaryEntry<U>{&unary_forward<U>, &unary_backward<U>}...,
          BinaryEntry<B>{&binary_forward<B>, &binary_backward<B, true>, &binary_backward<B, false>}...};
}

}  // namespace

const PointwiseBackend& pointwise_backend() {
  static constexpr PointwiseBackend kBackend = make_backend(UnaryFormulas{}, BinaryFormulas{});
  return kBackend;
}

void add_in_place(const Tensor& a, const Tensor& b) {
  dispatch(
      "add_in_place", a.dtype(),
      [&]<class T>(T) {
        T* out = a.mutable_data<T>();
        const T* in = b.data<T>();
        const AddInPlace<T>& k = pointwise_kernels();
        parallel_for(a.numel(), kElementGrain, [&](int64_t begin, int64_t end) {
          k.add_in_place(out + begin, in + begin, end - begin);
        });
      },
      [&]<class T>(T) { reference::add_in_place(a.mutable_data<T>(), b.data<T>(), a.numel()); },
      [&] {
        const Tensor sum = widened(a);
        add_in_place(sum, widened(b));
        cast(sum, a);
      });
}

}  // namespace tern::cpu
