#pragma once
// What a backend provides for pointwise operations: one entry per formula of the typelists, in one table. The
// table inherits its entries, so that table.UnaryEntry<Relu>::forward is the kernel of a formula and a
// formula without a row in the typelist does not compile.

#include "tern/core/tensor.h"
#include "tern/ops/broadcast.h"
#include "tern/ops/formulas.h"

namespace tern {

template <class F>
struct UnaryEntry {
  void (*forward)(const F&, const Tensor& x, const Tensor& y);
  void (*backward)(const F&, const Tensor& saved, const Tensor& dy, const Tensor& dx);  // dx may be dy
};

// a and b as they are, everything else in the broadcast shape.
template <class F>
struct BinaryEntry {
  void (*forward)(const F&, const BroadcastGeometry&, const Tensor& a, const Tensor& b, const Tensor& y);
  void (*backward_a)(const F&, const BroadcastGeometry&, const Tensor& a, const Tensor& b, const Tensor& dy,
                     const Tensor& da);
  void (*backward_b)(const F&, const BroadcastGeometry&, const Tensor& a, const Tensor& b, const Tensor& dy,
                     const Tensor& db);
};

template <class Unary, class Binary>
struct PointwiseTable;
template <class... U, class... B>
struct PointwiseTable<FormulaList<U...>, FormulaList<B...>> : UnaryEntry<U>..., BinaryEntry<B>... {};
using PointwiseBackend = PointwiseTable<UnaryFormulas, BinaryFormulas>;

namespace cpu {
const PointwiseBackend& pointwise_backend();
}
namespace cu {
const PointwiseBackend& pointwise_backend();
}

}  // namespace tern
