#include "tern/ops/reduce.h"

#include <algorithm>
#include <numeric>

#include "tern/core/autograd.h"
#include "tern/ops/shape_ops.h"

namespace tern {
namespace {

void check_float(const char* op, const Tensor& x) {
  check<DTypeError>(is_floating(x.dtype()), op, ": needs f32, f64 or bf16, got ", describe(x));
}

Shape reduced_shape(const Shape& shape, int axis, bool keepdim) {
  if (axis < 0) axis += shape.rank();
  std::vector<int64_t> dims;
  for (int i = 0; i < shape.rank(); ++i) {
    if (i != axis) dims.push_back(shape[i]);
    else if (keepdim) dims.push_back(1);
  }
  return Shape(std::span<const int64_t>(dims));
}

// A gradient of the reduced shape spread over the whole one; run(dx) for one backend each.
template <class Cpu, class Cuda>
Tensor spread(const Tensor& dy, const Shape& shape, const Cpu& cpu_run, const Cuda& cuda_run) {
  const Tensor dx = Tensor::empty(shape, dy.options());
  on_device(
      dy.device(), [&] { cpu_run(dx); }, [&] { cuda_run(dx); });
  return dx;
}

struct SumNode final : OpNode<SumNode> {
  static constexpr std::string_view kName = "sum";
  Gradients backward(const Gradients& dy) override {
    return {spread(
        dy[0], shape, [&](const Tensor& dx) { cpu::expand_axis(geometry, dy[0], scale, dx); },
        [&](const Tensor& dx) { cu::expand_axis(geometry, dy[0], scale, dx); })};
  }
  ReduceGeometry geometry;
  Shape shape;
  double scale = 1;
};

struct ExtremeNode final : OpNode<ExtremeNode> {
  static constexpr std::string_view kName = "max";
  Gradients backward(const Gradients& dy) override {
    return {spread(
        dy[0], shape, [&](const Tensor& dx) { cpu::scatter_axis(geometry, dy[0], index, dx); },
        [&](const Tensor& dx) { cu::scatter_axis(geometry, dy[0], index, dx); })};
  }
  ReduceGeometry geometry;
  Shape shape;
  Tensor index;
};

Tensor sum_over(const Tensor& x, const ReduceGeometry& g, const Shape& y_shape, double scale) {
  check_float("sum", x);
  const Tensor y = Tensor::empty(y_shape, x.options());
  on_device(
      x.device(), [&] { cpu::sum_axis(g, x, scale, y); }, [&] { cu::sum_axis(g, x, scale, y); });
  return record<SumNode>(y, {x}, [&](SumNode& node) {
    node.geometry = g;
    node.shape = x.shape();
    node.scale = scale;
  });
}

// positions, if not null, receives the index, shaped like y.
Tensor extreme_over(const Tensor& x, const ReduceGeometry& g, const Shape& y_shape, Extreme which,
                    Tensor* positions = nullptr) {
  check_float("max", x);
  check<ShapeError>(g.n > 0, "max: the reduced axis of ", x.shape(), " is empty");
  const Tensor y = Tensor::empty(y_shape, x.options());
  const Tensor index = Tensor::empty(y_shape, {.dtype = DType::I64, .device = x.device()});
  on_device(
      x.device(), [&] { cpu::extreme_axis(g, which, x, y, index); },
      [&] { cu::extreme_axis(g, which, x, y, index); });
  if (positions) *positions = index;
  return record<ExtremeNode>(y, {x}, [&](ExtremeNode& node) {
    node.geometry = g;
    node.shape = x.shape();
    node.index = index;
  });
}

ReduceGeometry whole(const Tensor& x) { return {1, x.numel(), 1}; }

Tensor arg_extreme(const Tensor& x, int axis, Extreme which) {
  Tensor index;
  NoGradGuard no_grad;
  extreme_over(x, reduce_geometry(x.shape(), axis), reduced_shape(x.shape(), axis, false), which, &index);
  return index;
}

}  // namespace

ReduceGeometry reduce_geometry(const Shape& shape, int axis) {
  ReduceGeometry g{1, shape[axis], 1};  // throws if there is no such axis
  if (axis < 0) axis += shape.rank();
  for (int i = 0; i < axis; ++i) g.outer *= shape[i];
  for (int i = axis + 1; i < shape.rank(); ++i) g.inner *= shape[i];
  return g;
}

Tensor sum(const Tensor& x) { return sum_over(x, whole(x), Shape{}, 1); }
Tensor sum(const Tensor& x, int axis, bool keepdim) {
  return sum_over(x, reduce_geometry(x.shape(), axis), reduced_shape(x.shape(), axis, keepdim), 1);
}
Tensor mean(const Tensor& x) { return sum_over(x, whole(x), Shape{}, 1.0 / static_cast<double>(x.numel())); }
Tensor mean(const Tensor& x, int axis, bool keepdim) {
  const ReduceGeometry g = reduce_geometry(x.shape(), axis);
  return sum_over(x, g, reduced_shape(x.shape(), axis, keepdim), 1.0 / static_cast<double>(g.n));
}

Tensor max(const Tensor& x) { return extreme_over(x, whole(x), Shape{}, Extreme::Max); }
Tensor max(const Tensor& x, int axis, bool keepdim) {
  return extreme_over(x, reduce_geometry(x.shape(), axis), reduced_shape(x.shape(), axis, keepdim),
                      Extreme::Max);
}
Tensor min(const Tensor& x) { return extreme_over(x, whole(x), Shape{}, Extreme::Min); }
Tensor min(const Tensor& x, int axis, bool keepdim) {
  return extreme_over(x, reduce_geometry(x.shape(), axis), reduced_shape(x.shape(), axis, keepdim),
                      Extreme::Min);
}
Tensor argmax(const Tensor& x, int axis) { return arg_extreme(x, axis, Extreme::Max); }
Tensor argmin(const Tensor& x, int axis) { return arg_extreme(x, axis, Extreme::Min); }

TopK topk(const Tensor& x, int64_t k) {
  check_float("topk", x);
  const int64_t n = x.size(-1), rows = n > 0 ? x.numel() / n : 0;
  check<ShapeError>(k >= 0 && k <= n, "topk: k = ", k, " of ", n, " values (input ", x.shape(), ")");
  const std::vector<double> values = x.to_vector();
  std::vector<int64_t> chosen, order(static_cast<size_t>(n)), flat;
  for (int64_t row = 0; row < rows; ++row) {
    std::iota(order.begin(), order.end(), 0);
    const double* v = values.data() + row * n;
    std::partial_sort(order.begin(), order.begin() + k, order.end(),
                      [&](int64_t a, int64_t b) { return v[a] != v[b] ? v[a] > v[b] : a < b; });
    for (int64_t i = 0; i < k; ++i) {
      chosen.push_back(order[static_cast<size_t>(i)]);
      flat.push_back(row * n + order[static_cast<size_t>(i)]);
    }
  }
  const Shape shape = x.shape().with(-1, k);
  const auto there = [&](const std::vector<int64_t>& data, const Shape& s) {
    return Tensor::from_data(std::span<const int64_t>(data), s).to(x.device());
  };
  const Tensor picked = gather_rows(reshape(x, {x.numel(), 1}), there(flat, Shape{rows * k}));
  return {reshape(picked, shape), there(chosen, shape)};
}

}  // namespace tern
