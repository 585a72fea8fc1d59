#pragma once
// Comparison, and choosing by its result.
//
//   y = a == b, !=, <, <=, >, >=     Bool, not differentiable; NaN is equal to nothing and in no order
//   where(c, a, b) = a where c, else b        da = dy where c, 0 elsewhere; db the other way round
//
// Operands broadcast as in NumPy and have one dtype (any but Bool for the orders). ShapeError, DTypeError
// otherwise. A number compares as the value it has in the tensor's type. Cost: one pass. Source: NumPy
// reference, "Logic functions", numpy.where.

#include "tern/core/tensor.h"
#include "tern/ops/broadcast.h"

namespace tern {

enum class Comparison : uint8_t { Eq, Ne, Lt, Le, Gt, Ge };

Tensor compare(Comparison comparison, const Tensor& a, const Tensor& b);
Tensor compare(Comparison comparison, const Tensor& a, double b);

inline Tensor eq(const Tensor& a, const Tensor& b) { return compare(Comparison::Eq, a, b); }
inline Tensor ne(const Tensor& a, const Tensor& b) { return compare(Comparison::Ne, a, b); }
inline Tensor lt(const Tensor& a, const Tensor& b) { return compare(Comparison::Lt, a, b); }
inline Tensor le(const Tensor& a, const Tensor& b) { return compare(Comparison::Le, a, b); }
inline Tensor gt(const Tensor& a, const Tensor& b) { return compare(Comparison::Gt, a, b); }
inline Tensor ge(const Tensor& a, const Tensor& b) { return compare(Comparison::Ge, a, b); }
inline Tensor eq(const Tensor& a, double b) { return compare(Comparison::Eq, a, b); }
inline Tensor ne(const Tensor& a, double b) { return compare(Comparison::Ne, a, b); }
inline Tensor lt(const Tensor& a, double b) { return compare(Comparison::Lt, a, b); }
inline Tensor le(const Tensor& a, double b) { return compare(Comparison::Le, a, b); }
inline Tensor gt(const Tensor& a, double b) { return compare(Comparison::Gt, a, b); }
inline Tensor ge(const Tensor& a, double b) { return compare(Comparison::Ge, a, b); }

// condition: Bool. All three broadcast together.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);

namespace cpu {
void compare(Comparison comparison, const BroadcastGeometry& geometry, const Tensor& a, const Tensor& b,
             const Tensor& y);
void where(const Tensor& condition, const Tensor& a, const Tensor& b, const Tensor& y);  // one shape
void where_backward(const Tensor& condition, bool chosen, const Tensor& dy,
                    const Tensor& dx);  // dy where c == chosen
}  // namespace cpu
namespace cu {
void compare(Comparison comparison, const BroadcastGeometry& geometry, const Tensor& a, const Tensor& b,
             const Tensor& y);
void where(const Tensor& condition, const Tensor& a, const Tensor& b, const Tensor& y);
void where_backward(const Tensor& condition, bool chosen, const Tensor& dy, const Tensor& dx);
}  // namespace cu

}  // namespace tern
