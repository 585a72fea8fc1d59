#pragma once
// L2 normalisation: every row is scaled to length 1, so that distances between embeddings are angles in
// disguise.
//
//   n_i = max(|x_i|, eps)     y_i = x_i / n_i      x[..., D] -> y[..., D], rows along the last axis
//
//   dx_i = (dy_i - y_i (y_i . dy_i)) / |x_i|       the part of dy tangent to the sphere, over the radius
//
// A row with |x_i| <= eps has no direction: its y is x_i / eps (0 for the zero vector) and its gradient is
// exactly 0, so a dead row neither explodes nor moves. Lengths are summed in f64 in one fixed order by code
// that is compiled once: y has the same bits on every instruction set and for any number of threads, which is
// what makes mining inside the losses reproducible.
//
// bf16 activations end here: x is cast to f32 and y is f32, so that embeddings, distances and losses never
// see bf16.
//
// Cost: 2 passes over x forward, 2 over y and dy backward. Errors: ShapeError for rank 0, DTypeError unless
// f32, f64 or bf16, UsageError unless eps > 0. Source: torch.nn.functional.normalize (same values; its
// gradient at 0 differs).

#include "tern/core/tensor.h"

namespace tern {

struct L2NormalizeOptions {
  double eps = 1e-12;
};

Tensor l2_normalize(const Tensor& x, L2NormalizeOptions options = {});
// inverse: f64 [rows], 1 / |x_i|, and 0 for rows at or below eps.
Tensor l2_normalize_backward(const Tensor& dy, const Tensor& y, const Tensor& inverse);

namespace cpu {
void l2_normalize_forward(const Tensor& x, double eps, const Tensor& y, const Tensor& inverse);
void l2_normalize_backward(const Tensor& dy, const Tensor& y, const Tensor& inverse, const Tensor& dx);
}  // namespace cpu
namespace cu {
void l2_normalize_forward(const Tensor& x, double eps, const Tensor& y, const Tensor& inverse);
void l2_normalize_backward(const Tensor& dy, const Tensor& y, const Tensor& inverse, const Tensor& dx);
}  // namespace cu

}  // namespace tern
