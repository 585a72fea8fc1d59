#include "tern/ops/shape_ops.h"

#include <algorithm>
#include <numeric>

#include "tern/core/autograd.h"
#include "tern/ops/creation.h"
#include "tern/ops/reduce.h"

namespace tern {
namespace {

Tensor empty_as(const Tensor& x, const Shape& shape) { return Tensor::empty(shape, x.options()); }

Tensor view(const Tensor& x, int64_t offset, const Shape& shape) {
  return Tensor::view_of(x.impl()->storage, x.element_offset() + offset, shape, x.dtype());
}

void copy_blocks(const BlockCopy& copy, const Tensor& src, const Tensor& dst) {
  on_device(
      src.device(), [&] { cpu::copy_blocks(copy, src, dst); }, [&] { cu::copy_blocks(copy, src, dst); });
}

int positive_axis(const Shape& shape, int axis) {
  shape[axis];  // throws if there is no such axis
  return axis < 0 ? axis + shape.rank() : axis;
}

// dy put at [begin, ..) of axis in a zero tensor of the given shape.
Tensor embed(const Tensor& dy, const Shape& shape, int axis, int64_t begin) {
  const Tensor dx = zeros(shape, dy.options());
  const ReduceGeometry g = reduce_geometry(shape, axis);
  copy_blocks({g.outer, dy.size(axis), g.n, 0, begin, dy.size(axis), g.inner * size_of(dy.dtype())}, dy, dx);
  return dx;
}

struct ReshapeNode final : OpNode<ReshapeNode> {
  static constexpr std::string_view kName = "reshape";
  Gradients backward(const Gradients& dy) override { return {reshape(dy[0], shape)}; }
  Shape shape;
};

struct NarrowNode final : OpNode<NarrowNode> {
  static constexpr std::string_view kName = "narrow";
  Gradients backward(const Gradients& dy) override { return {embed(dy[0], shape, axis, begin)}; }
  Shape shape;
  int axis = 0;
  int64_t begin = 0;
};

struct ConcatNode final : OpNode<ConcatNode> {
  static constexpr std::string_view kName = "concat";
  Gradients backward(const Gradients& dy) override {
    Gradients dx;
    int64_t begin = 0;
    for (size_t i = 0; i < sizes.size(); begin += sizes[i++])
      dx.push_back(needs(static_cast<int>(i)) ? narrow(dy[0], axis, begin, sizes[i]) : Tensor());
    return dx;
  }
  std::vector<int64_t> sizes;
  int axis = 0;
};

struct SplitNode final : OpNode<SplitNode> {
  static constexpr std::string_view kName = "split";
  Gradients backward(const Gradients& dy) override {
    std::vector<Tensor> pieces;
    for (size_t i = 0; i < dy.size(); ++i)
      pieces.push_back(dy[i].defined() ? dy[i] : zeros(shapes[i], {.dtype = dtype, .device = device}));
    return {concat(pieces, axis)};
  }
  std::vector<Shape> shapes;
  DType dtype = DType::F32;
  Device device;
  int axis = 0;
};

struct PermuteNode final : OpNode<PermuteNode> {
  static constexpr std::string_view kName = "permute";
  Gradients backward(const Gradients& dy) override { return {permute(dy[0], std::span<const int>(inverse))}; }
  std::vector<int> inverse;
};

struct GatherRowsNode final : OpNode<GatherRowsNode> {
  static constexpr std::string_view kName = "gather_rows";
  Gradients backward(const Gradients& dy) override {
    const Tensor dx = zeros(shape, {.dtype = dy[0].dtype(), .device = dy[0].device()});
    on_device(
        dx.device(), [&] { cpu::scatter_add_rows(dy[0], index.get(*this), dx); },
        [&] { cu::scatter_add_rows(dy[0], index.get(*this), dx); });
    return {dx};
  }
  Shape shape;
  Saved index;
};

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  check<ShapeError>(x.numel() == shape.numel(), "reshape: ", x.shape(), " has ", x.numel(), " elements, ",
                    shape, " has ", shape.numel());
  return record<ReshapeNode>(view(x, 0, shape), {x}, [&](ReshapeNode& node) { node.shape = x.shape(); });
}

Tensor reshape(const Tensor& x, std::initializer_list<int64_t> sizes) {
  std::vector<int64_t> dims(sizes);
  const auto open = std::find(dims.begin(), dims.end(), -1);
  if (open != dims.end()) {
    *open = 1;
    const int64_t others = Shape(std::span<const int64_t>(dims)).numel();
    check<ShapeError>(others > 0 && x.numel() % others == 0, "reshape: ", x.shape(), " has ", x.numel(),
                      " elements, not a multiple of ", others);
    *open = x.numel() / others;
  }
  return reshape(x, Shape(std::span<const int64_t>(dims)));
}

Tensor slice(const Tensor& x, int64_t begin, int64_t end) {
  const int64_t rows = x.size(0);
  check<ShapeError>(begin >= 0 && begin <= end && end <= rows, "slice: rows ", begin, " to ", end, " of ",
                    x.shape());
  const int64_t row = rows > 0 ? x.numel() / rows : 0;
  return record<NarrowNode>(view(x, begin * row, x.shape().with(0, end - begin)), {x}, [&](NarrowNode& node) {
    node.shape = x.shape();
    node.begin = begin;
  });
}

Tensor narrow(const Tensor& x, int axis, int64_t begin, int64_t length) {
  const ReduceGeometry g = reduce_geometry(x.shape(), axis);
  check<ShapeError>(begin >= 0 && length >= 0 && begin <= g.n - length, "narrow: ", begin, " + ", length,
                    " of axis ", axis, " of ", x.shape());
  const Tensor y = empty_as(x, x.shape().with(axis, length));
  copy_blocks({g.outer, g.n, length, begin, 0, length, g.inner * size_of(x.dtype())}, x, y);
  return record<NarrowNode>(y, {x}, [&](NarrowNode& node) {
    node.shape = x.shape();
    node.axis = axis;
    node.begin = begin;
  });
}

Tensor concat(const std::vector<Tensor>& pieces, int axis) {
  check(!pieces.empty(), "concat: no tensors given");
  const Tensor& first = pieces[0];
  axis = positive_axis(first.shape(), axis);
  std::vector<int64_t> sizes;
  int64_t total = 0;
  for (const Tensor& piece : pieces) {
    check<ShapeError>(
        piece.rank() == first.rank() && piece.shape().with(axis, first.size(axis)) == first.shape(),
        "concat: shapes ", first.shape(), " and ", piece.shape(), " differ beyond axis ", axis);
    check<DTypeError>(piece.dtype() == first.dtype(), "concat: ", first.dtype(), " and ", piece.dtype());
    sizes.push_back(piece.size(axis));
    total = checked::add(total, sizes.back());
  }
  const Tensor y = empty_as(first, first.shape().with(axis, total));
  const ReduceGeometry g = reduce_geometry(y.shape(), axis);
  int64_t at = 0;
  for (const Tensor& piece : pieces) {
    const int64_t n = piece.size(axis);
    copy_blocks({g.outer, n, total, 0, at, n, g.inner * size_of(y.dtype())}, piece, y);
    at += n;
  }
  const std::vector<std::reference_wrapper<const Tensor>> inputs(pieces.begin(), pieces.end());
  return record<ConcatNode>(y, inputs, [&](ConcatNode& node) {
    node.sizes = std::move(sizes);
    node.axis = axis;
  });
}

Tensor stack(const std::vector<Tensor>& pieces, int axis) {
  check(!pieces.empty(), "stack: no tensors given");
  const Shape& shape = pieces[0].shape();
  if (axis < 0) axis += shape.rank() + 1;
  check<ShapeError>(axis >= 0 && axis <= shape.rank(), "stack: axis ", axis, " of ", shape);
  std::vector<int64_t> dims(shape.begin(), shape.end());
  dims.insert(dims.begin() + axis, 1);
  std::vector<Tensor> expanded;
  for (const Tensor& piece : pieces)
    expanded.push_back(reshape(piece, Shape(std::span<const int64_t>(dims))));
  return concat(expanded, axis);
}

std::vector<Tensor> split(const Tensor& x, const std::vector<int64_t>& sizes, int axis) {
  axis = positive_axis(x.shape(), axis);
  const ReduceGeometry g = reduce_geometry(x.shape(), axis);
  int64_t total = 0;
  for (const int64_t size : sizes) total = checked::add(total, size);
  check<ShapeError>(total == g.n, "split: sizes add up to ", total, ", axis ", axis, " of ", x.shape(),
                    " has ", g.n);
  std::vector<Tensor> pieces;
  int64_t at = 0;
  for (const int64_t size : sizes) {
    pieces.push_back(empty_as(x, x.shape().with(axis, size)));
    copy_blocks({g.outer, g.n, size, at, 0, size, g.inner * size_of(x.dtype())}, x, pieces.back());
    at += size;
  }
  record_many<SplitNode>(pieces, {x}, [&](SplitNode& node) {
    for (const Tensor& piece : pieces) node.shapes.push_back(piece.shape());
    node.dtype = x.dtype();
    node.device = x.device();
    node.axis = axis;
  });
  return pieces;
}

std::vector<Tensor> split(const Tensor& x, int64_t parts, int axis) {
  const int64_t n = x.size(axis);
  check<ShapeError>(parts > 0 && n % parts == 0, "split: axis ", axis, " of ", x.shape(),
                    " does not cut into ", parts, " equal parts");
  return split(x, std::vector<int64_t>(static_cast<size_t>(parts), n / parts), axis);
}

Tensor permute(const Tensor& x, std::span<const int> axes) {
  check<ShapeError>(static_cast<int>(axes.size()) == x.rank(), "permute: ", axes.size(), " axes for ",
                    x.shape());
  std::vector<int64_t> dims;
  std::vector<int> inverse(axes.size(), -1);
  for (size_t i = 0; i < axes.size(); ++i) {
    dims.push_back(x.size(axes[i]));
    inverse[static_cast<size_t>(positive_axis(x.shape(), axes[i]))] = static_cast<int>(i);
  }
  check<ShapeError>(std::find(inverse.begin(), inverse.end(), -1) == inverse.end(),
                    "permute: the axes are not a permutation (input ", x.shape(), ")");
  const Tensor y = empty_as(x, Shape(std::span<const int64_t>(dims)));
  on_device(
      x.device(), [&] { cpu::permute(axes, x, y); }, [&] { cu::permute(axes, x, y); });
  return record<PermuteNode>(y, {x}, [&](PermuteNode& node) { node.inverse = std::move(inverse); });
}

Tensor permute(const Tensor& x, std::initializer_list<int> axes) {
  return permute(x, std::span<const int>(axes.begin(), axes.size()));
}

Tensor transpose(const Tensor& x, int axis_a, int axis_b) {
  std::vector<int> axes(static_cast<size_t>(x.rank()));
  std::iota(axes.begin(), axes.end(), 0);
  std::swap(axes[static_cast<size_t>(positive_axis(x.shape(), axis_a))],
            axes[static_cast<size_t>(positive_axis(x.shape(), axis_b))]);
  return permute(x, std::span<const int>(axes));
}

Tensor flatten(const Tensor& x) {
  check<ShapeError>(x.rank() >= 1, "flatten: needs at least one axis, got ", x.shape());
  const bool feature_map = x.rank() == 4 && x.size(1) * x.size(2) > 1;
  const Tensor ordered = feature_map ? permute(x, {0, 3, 1, 2}) : x;
  const int64_t n = x.size(0);
  return reshape(ordered, Shape{n, n > 0 ? x.numel() / n : 0});
}

Tensor gather_rows(const Tensor& x, const Tensor& index) {
  check<DTypeError>(index.dtype() == DType::I64, "gather_rows: the index must be i64, got ", index.dtype());
  check<ShapeError>(index.rank() == 1 && x.rank() >= 1, "gather_rows: index ", index.shape(), ", input ",
                    x.shape());
  check<DeviceError>(index.device() == x.device(), "gather_rows: input on ", x.device(), ", index on ",
                     index.device());
  if (index.device().is_cpu()) {
    for (int64_t i = 0; i < index.numel(); ++i) {
      const int64_t row = index.data<int64_t>()[i];
      check<ShapeError>(row >= 0 && row < x.size(0), "gather_rows: index ", row, " of ", x.size(0), " rows");
    }
  }
  const Tensor y = empty_as(x, x.shape().with(0, index.numel()));
  on_device(
      x.device(), [&] { cpu::gather_rows(x, index, y); }, [&] { cu::gather_rows(x, index, y); });
  return record<GatherRowsNode>(y, {x}, [&](GatherRowsNode& node) {
    node.shape = x.shape();
    node.index = index;
  });
}

}  // namespace tern
