#include "tern/cpu/pointwise_kernels.h"

#include "tern/cpu/vec.h"

namespace tern::cpu::TERN_ISA {
namespace {

using V = Vec<float>;

// One operand along a row: a run of elements, or one value for all.
template <class T, bool kMoves>
struct Operand {
  const T* p;
  TERN_INLINE V one() const { return V(static_cast<float>(*p)); }
  TERN_INLINE V whole(int64_t i) const { return kMoves ? V::load(p + i) : one(); }
  TERN_INLINE V partial(int64_t i, int64_t n) const { return kMoves ? V::load_partial(p + i, n) : one(); }
};

struct Forward {
  template <class F>
  TERN_INLINE static V apply(const F& f, V a, V b, V) {
    return f.forward(a, b);
  }
};
struct BackwardA {
  template <class F>
  TERN_INLINE static V apply(const F& f, V a, V b, V dy) {
    return f.backward_a(a, b, dy);
  }
};
struct BackwardB {
  template <class F>
  TERN_INLINE static V apply(const F& f, V a, V b, V dy) {
    return f.backward_b(a, b, dy);
  }
};

template <class Pass, bool kAMoves, bool kBMoves, bool kHasDy, class F, class T>
TERN_INLINE void binary_loop(const F& formula, const BinaryRows<T>& r) {
  const F f = formula;
  for (int64_t row = 0; row < r.rows; ++row) {
    const Operand<T, kAMoves> a{r.a + row * r.a_row};
    const Operand<T, kBMoves> b{r.b + row * r.b_row};
    const Operand<T, kHasDy> dy{kHasDy ? r.dy + row * r.cols : r.a};
    T* out = r.out + row * r.cols;
    int64_t i = 0;
    for (; i + V::kLanes <= r.cols; i += V::kLanes)
      Pass::apply(f, a.whole(i), b.whole(i), dy.whole(i)).store(out + i);
    const int64_t rest = r.cols - i;
    if (rest > 0)
      Pass::apply(f, a.partial(i, rest), b.partial(i, rest), dy.partial(i, rest))
          .store_partial(out + i, rest);
  }
}

template <class Pass, bool kHasDy, class F, class T>
void binary_rows(const F& f, const BinaryRows<T>& r) {
  if (r.a_moves && r.b_moves) return binary_loop<Pass, true, true, kHasDy>(f, r);
  if (r.a_moves) return binary_loop<Pass, true, false, kHasDy>(f, r);
  binary_loop<Pass, false, true, kHasDy>(f, r);
}

template <class F, class T>
void unary_forward(const F& formula, const T* x, T* y, int64_t n) {
  const F f = formula;
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) f.forward(V::load(x + i)).store(y + i);
  if (i < n) f.forward(V::load_partial(x + i, n - i)).store_partial(y + i, n - i);
}

template <class F, class T>
void unary_backward(const F& formula, const T* saved, const T* dy, T* dx, int64_t n) {
  const F f = formula;
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) f.backward(V::load(saved + i), V::load(dy + i)).store(dx + i);
  const int64_t rest = n - i;
  if (rest > 0)
    f.backward(V::load_partial(saved + i, rest), V::load_partial(dy + i, rest)).store_partial(dx + i, rest);
}

template <class T>
void add_in_place(T* a, const T* b, int64_t n) {
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) (V::load(a + i) + V::load(b + i)).store(a + i);
  if (i < n) (V::load_partial(a + i, n - i) + V::load_partial(b + i, n - i)).store_partial(a + i, n - i);
}

template <class T, class... U, class... B>
constexpr auto make_table(FormulaList<U...>, FormulaList<B...>) {
  return KernelTable<T, UnaryFormulas, BinaryFormulas>{
      UnaryKernels<U, T>{&unary_forward<U, T>, &unary_backward<U, T>}...,
      BinaryKernels<B, T>{&binary_rows<Forward, false, B, T>, &binary_rows<BackwardA, true, B, T>,
                          &binary_rows<BackwardB, true, B, T>}...,
      AddInPlace<T>{&add_in_place<T>}};
}

}  // namespace

constexpr PointwiseKernels kTable = {make_table<float>(UnaryFormulas{}, BinaryFormulas{}),
                                     make_table<bfloat16>(UnaryFormulas{}, BinaryFormulas{})};
extern const PointwiseKernels pointwise_table;
const PointwiseKernels pointwise_table = kTable;

}  // namespace tern::cpu::TERN_ISA
