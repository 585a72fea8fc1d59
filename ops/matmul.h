#pragma once
// The product of two matrices, either of them transposed if asked:
//
//   y = op(a) op(b)      a[m,k] b[k,n] -> y[m,n];   op(a) = a^T of a[k,m] with transpose_a, likewise b
//
//   da = dy op(b)^T      (transposed with a)
//   db = op(a)^T dy      (transposed with b)
//
// Cost: 2 m n k operations for each of y, da, db. f32 and f64. k = 0 gives zeros. Errors: ShapeError if the
// inner sizes differ, DTypeError for mixed or unsupported types. Source: Goto and van de Geijn, ACM TOMS
// 34(3), 2008.

#include "tern/core/tensor.h"

namespace tern {

struct MatmulOptions {
  bool transpose_a = false, transpose_b = false;
};

Tensor matmul(const Tensor& a, const Tensor& b, MatmulOptions options = {});

struct MatmulGeometry {
  int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  bool b_is_weight = false;  // worth keeping in packed form while gradients are off
};

// What a backend provides: y[m,n] = op(a) op(b) (+ bias[n] on every row; it may be undefined). The operands
// are dense matrices whatever the rank of the tensors; linear uses it on x[..,I].
namespace cpu {
void matmul(const MatmulGeometry&, const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y);
}
namespace cu {
void matmul(const MatmulGeometry&, const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y);
}

// On the device of a.
void matmul_into(const MatmulGeometry& geometry, const Tensor& a, const Tensor& b, const Tensor& bias,
                 const Tensor& y);

}  // namespace tern
