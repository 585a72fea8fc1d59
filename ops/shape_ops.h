#pragma once
// Operations that only move elements. Each is linear, so each gradient is the same movement backwards:
//
//   reshape     view of the same elements             dx = reshape(dy, x)
//   slice       view of rows [begin, end) of axis 0   dx = dy in those rows, 0 elsewhere
//   narrow      copy of [begin, begin + length) of an axis
//   concat      pieces behind one another             dx_i = narrow(dy)
//   stack       concat along a new axis
//   split       the inverse of concat                 dx = concat(dy_i)
//   permute     y[i_p0, i_p1, ..] = x[i_0, i_1, ..]   dx = permute(dy, inverse of p)
//   flatten     [N,H,W,C] -> [N, C*H*W] in PyTorch's C,H,W order, so that imported linear weights fit
//   gather_rows y[i] = x[index_i]                     dx[j] = sum of dy[i] over index_i = j
//
// reshape and slice share the storage; everything else copies. All element types. Cost: one read and one
// write. Source: NumPy reference, "Array manipulation routines".

#include <initializer_list>
#include <span>
#include <vector>

#include "tern/core/tensor.h"

namespace tern {

// One size may be -1: it is what the others leave. Throws ShapeError if the element counts differ.
Tensor reshape(const Tensor& x, std::initializer_list<int64_t> sizes);
Tensor reshape(const Tensor& x, const Shape& shape);
Tensor slice(const Tensor& x, int64_t begin, int64_t end);
Tensor narrow(const Tensor& x, int axis, int64_t begin, int64_t length);
Tensor concat(const std::vector<Tensor>& pieces, int axis = 0);
Tensor stack(const std::vector<Tensor>& pieces, int axis = 0);
std::vector<Tensor> split(const Tensor& x, const std::vector<int64_t>& sizes, int axis = 0);
std::vector<Tensor> split(const Tensor& x, int64_t parts, int axis = 0);  // equal parts
Tensor permute(const Tensor& x, std::initializer_list<int> axes);
Tensor permute(const Tensor& x, std::span<const int> axes);
Tensor transpose(const Tensor& x, int axis_a = -2, int axis_b = -1);
Tensor flatten(const Tensor& x);
// index: i64 [M]; x[N, ..] -> y[M, ..]. Throws ShapeError for an index outside of 0 .. N-1; on a GPU, which
// is not waited for, such a row is NaN (every bit set) and has no gradient.
Tensor gather_rows(const Tensor& x, const Tensor& index);

// A block copy between two tensors seen as [outer, rows, row_bytes]: rows [from, from + count) of src to
// [to, to + count) of dst. The one kernel behind narrow, concat, stack and split.
struct BlockCopy {
  int64_t outer = 1, src_rows = 0, dst_rows = 0, from = 0, to = 0, count = 0, row_bytes = 0;
};

namespace cpu {
void copy_blocks(const BlockCopy& copy, const Tensor& src, const Tensor& dst);
void permute(std::span<const int> axes, const Tensor& x, const Tensor& y);
void gather_rows(const Tensor& x, const Tensor& index, const Tensor& y);
void scatter_add_rows(const Tensor& dy, const Tensor& index, const Tensor& dx);  // dx is zeroed first
}  // namespace cpu
namespace cu {
void copy_blocks(const BlockCopy& copy, const Tensor& src, const Tensor& dst);
void permute(std::span<const int> axes, const Tensor& x, const Tensor& y);
void gather_rows(const Tensor& x, const Tensor& index, const Tensor& y);
void scatter_add_rows(const Tensor& dy, const Tensor& index, const Tensor& dx);
}  // namespace cu

}  // namespace tern
