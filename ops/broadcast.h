#pragma once
// How two operands of different shapes meet, under NumPy's rule: trailing dimensions aligned, a dimension of
// 1 stretches. Neighbouring dimensions in which each operand behaves the same way are merged, so that equal
// shapes become one row, a scalar one row, and x[N,H,W,C] with b[C] N*H*W rows of C. In every dimension an
// operand is either dense or repeated (stride 0).

#include <array>
#include <cstdint>

#include "tern/core/tensor.h"

namespace tern {

struct BroadcastGeometry {
  Shape shape;                                // of the result
  int rank = 1;                               // of the merged dimensions below, outermost first; at least 1
  std::array<int64_t, Shape::kMaxRank> size;  // the first rank entries are set
  std::array<int64_t, Shape::kMaxRank> a_stride;  // in elements; 0: repeated
  std::array<int64_t, Shape::kMaxRank> b_stride;
};

// Throws ShapeError, naming op, if the shapes do not meet.
BroadcastGeometry broadcast_geometry(const char* op, const Shape& a, const Shape& b);

// x stretched to shape, as a copy (x itself if it has that shape). The gradient is the sum over what was
// stretched. All element types. Throws ShapeError unless x broadcasts to exactly shape.
Tensor broadcast_to(const Tensor& x, const Shape& shape);

namespace cpu {
void broadcast_copy(const BroadcastGeometry& geometry, const Tensor& x, const Tensor& y);  // x is operand a
}  // namespace cpu
namespace cu {
void broadcast_copy(const BroadcastGeometry& geometry, const Tensor& x, const Tensor& y);
}  // namespace cu

}  // namespace tern
