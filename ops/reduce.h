#pragma once
// Reductions, over all elements or along one axis (negative counts from the back).
//
//   sum    y = sum_i x_i            dx_i = dy
//   mean   y = (1/n) sum_i x_i      dx_i = dy / n
//   max    y = x_k, k = argmax      dx_k = dy, 0 elsewhere (ties: the lowest index alone)
//   min    likewise
//
// x[.., n, ..] -> y[.., ..]; with keepdim the axis stays with size 1. f32 and f64; argmax and argmin give
// i64. Sums run in f64 over fixed tiles and are rounded once, so they do not depend on threads. NaN wins max
// and min. An empty axis gives 0 (sum), NaN (mean) and ShapeError (max, min). Cost: one read of x. Source:
// NumPy reference, "Sums, products, differences"; PyTorch torch.amax for the gradient's shape.

#include "tern/core/tensor.h"

namespace tern {

Tensor sum(const Tensor& x);
Tensor sum(const Tensor& x, int axis, bool keepdim = false);
Tensor mean(const Tensor& x);
Tensor mean(const Tensor& x, int axis, bool keepdim = false);
Tensor max(const Tensor& x);
Tensor max(const Tensor& x, int axis, bool keepdim = false);
Tensor min(const Tensor& x);
Tensor min(const Tensor& x, int axis, bool keepdim = false);
Tensor argmax(const Tensor& x, int axis);
Tensor argmin(const Tensor& x, int axis);

// The k largest values along the last axis in descending order (ties: lower index first) and their indices.
struct TopK {
  Tensor values;   // [.., k], differentiable
  Tensor indices;  // i64 [.., k]
};
TopK topk(const Tensor& x, int64_t k);

// x seen as [outer, n, inner] around the reduced axis.
struct ReduceGeometry {
  int64_t outer = 1, n = 1, inner = 1;
};
ReduceGeometry reduce_geometry(const Shape& shape, int axis);

// What a backend provides. y, dy and index (i64) are [outer, inner], x and dx [outer, n, inner].
enum class Extreme : uint8_t { Max, Min };
namespace cpu {
void sum_axis(const ReduceGeometry& geometry, const Tensor& x, double scale, const Tensor& y);
void expand_axis(const ReduceGeometry& geometry, const Tensor& dy, double scale, const Tensor& dx);
// index: the position of the extreme. Its gradient is dy there, 0 elsewhere.
void extreme_axis(const ReduceGeometry& geometry, Extreme which, const Tensor& x, const Tensor& y,
                  const Tensor& index);
void scatter_axis(const ReduceGeometry& geometry, const Tensor& dy, const Tensor& index, const Tensor& dx);
}  // namespace cpu
namespace cu {
void sum_axis(const ReduceGeometry& geometry, const Tensor& x, double scale, const Tensor& y);
void expand_axis(const ReduceGeometry& geometry, const Tensor& dy, double scale, const Tensor& dx);
void extreme_axis(const ReduceGeometry& geometry, Extreme which, const Tensor& x, const Tensor& y,
                  const Tensor& index);
void scatter_axis(const ReduceGeometry& geometry, const Tensor& dy, const Tensor& index, const Tensor& dx);
}  // namespace cu

}  // namespace tern
