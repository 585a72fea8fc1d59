#include "tern/cpu/pointwise_kernels.h"

#include "tern/cpu/vec.h"

namespace tern::cpu::TERN_ISA {
namespace {

using V = Vec<float>;

// One operand along a row: a run of elements, or one value for all.
template <bool kMoves>
struct Operand {
  const float* p;
  TERN_INLINE V whole(int64_t i) const { return kMoves ? V::load(p + i) : V(*p); }
  TERN_INLINE V partial(int64_t i, int64_t n) const { return kMoves ? V::load_partial(p + i, n) : V(*p); }
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

template <class Pass, bool kAMoves, bool kBMoves, bool kHasDy, class F>
TERN_INLINE void binary_loop(const F& formula, const BinaryRows& r) {
  const F f = formula;
  for (int64_t row = 0; row < r.rows; ++row) {
    const Operand<kAMoves> a{r.a + row * r.a_row};
    const Operand<kBMoves> b{r.b + row * r.b_row};
    const Operand<kHasDy> dy{kHasDy ? r.dy + row * r.cols : r.a};
    float* out = r.out + row * r.cols;
    int64_t i = 0;
    for (; i + V::kLanes <= r.cols; i += V::kLanes)
      Pass::apply(f, a.whole(i), b.whole(i), dy.whole(i)).store(out + i);
    const int64_t rest = r.cols - i;
    if (rest > 0)
      Pass::apply(f, a.partial(i, rest), b.partial(i, rest), dy.partial(i, rest))
          .store_partial(out + i, rest);
  }
}

template <class Pass, bool kHasDy, class F>
void binary_rows(const F& f, const BinaryRows& r) {
  if (r.a_moves && r.b_moves) return binary_loop<Pass, true, true, kHasDy>(f, r);
  if (r.a_moves) return binary_loop<Pass, true, false, kHasDy>(f, r);
  binary_loop<Pass, false, true, kHasDy>(f, r);
}

template <class F>
void unary_forward(const F& formula, const float* x, float* y, int64_t n) {
  const F f = formula;
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) f.forward(V::load(x + i)).store(y + i);
  if (i < n) f.forward(V::load_partial(x + i, n - i)).store_partial(y + i, n - i);
}

template <class F>
void unary_backward(const F& formula, const float* saved, const float* dy, float* dx, int64_t n) {
  const F f = formula;
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) f.backward(V::load(saved + i), V::load(dy + i)).store(dx + i);
  const int64_t rest = n - i;
  if (rest > 0)
    f.backward(V::load_partial(saved + i, rest), V::load_partial(dy + i, rest)).store_partial(dx + i, rest);
}

void add_in_place(float* a, const float* b, int64_t n) {
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) (V::load(a + i) + V::load(b + i)).store(a + i);
  for (; i < n; ++i) a[i] += b[i];
}

template <class... U, class... B>
constexpr PointwiseKernels make_table(FormulaList<U...>, FormulaList<B...>) {
  return {UnaryKernels<U>{&unary_forward<U>, &unary_backward<U>}...,
          BinaryKernels<B>{&binary_rows<Forward, false, B>, &binary_rows<BackwardA, true, B>,
                           &binary_rows<BackwardB, true, B>}...,
          &add_in_place};
}

}  // namespace

constexpr PointwiseKernels kTable = make_table(UnaryFormulas{}, BinaryFormulas{});
extern const PointwiseKernels pointwise_table;
const PointwiseKernels pointwise_table = kTable;

}  // namespace tern::cpu::TERN_ISA
