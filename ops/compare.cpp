#include "tern/ops/compare.h"

#include "tern/core/autograd.h"

namespace tern {

Tensor compare(Comparison comparison, const Tensor& a, const Tensor& b) {
  check(a.defined() && b.defined(), "compare: ", a.defined() ? "b" : "a", " is undefined");
  check<DTypeError>(a.dtype() == b.dtype(), "compare: dtypes differ (", a.dtype(), " and ", b.dtype(),
                    "); hint: cast one with to(dtype)");
  check<DeviceError>(a.device() == b.device(), "compare: devices differ (", a.device(), " and ", b.device(),
                     ")");
  const BroadcastGeometry g = broadcast_geometry("compare", a.shape(), b.shape());
  const Tensor y = Tensor::empty(g.shape, {DType::Bool, a.device()});
  on_device(
      a.device(), [&] { cpu::compare(comparison, g, a, b, y); },
      [&] { cu::compare(comparison, g, a, b, y); });
  return y;
}

Tensor compare(Comparison comparison, const Tensor& a, double b) {
  check(a.defined(), "compare: a is undefined");
  const Tensor number = Tensor::empty(Shape{}, {a.dtype(), a.device()});
  number.detach().fill(b);
  return compare(comparison, a, number);
}

struct WhereNode final : OpNode<WhereNode> {
  static constexpr std::string_view kName = "where";
  Gradients backward(const Gradients& dy) override {
    const Tensor& c = condition.get(*this);
    Gradients dx(3);
    for (int i = 1; i <= 2; ++i) {
      if (!needs(i)) continue;
      Tensor& d = dx[static_cast<size_t>(i)];
      d = Tensor::empty(dy[0].shape(), {dy[0].dtype(), dy[0].device()});
      on_device(
          d.device(), [&] { cpu::where_backward(c, i == 1, dy[0], d); },
          [&] { cu::where_backward(c, i == 1, dy[0], d); });
    }
    return dx;
  }
  Saved condition;
};

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  check(condition.defined() && a.defined() && b.defined(), "where: an operand is undefined");
  check<DTypeError>(condition.dtype() == DType::Bool, "where: condition must be bool, got ",
                    condition.dtype(), "; hint: compare with eq, lt, gt");
  check<DTypeError>(a.dtype() == b.dtype(), "where: dtypes differ (", a.dtype(), " and ", b.dtype(), ")");
  check<DeviceError>(a.device() == b.device() && a.device() == condition.device(), "where: devices differ");
  const Shape shape = broadcast_shapes(condition.shape(), broadcast_shapes(a.shape(), b.shape()));
  const Tensor c = broadcast_to(condition, shape), wide_a = broadcast_to(a, shape),
               wide_b = broadcast_to(b, shape);
  const Tensor y = Tensor::empty(shape, {a.dtype(), a.device()});
  on_device(
      a.device(), [&] { cpu::where(c, wide_a, wide_b, y); }, [&] { cu::where(c, wide_a, wide_b, y); });
  return record<WhereNode>(y, {c, wide_a, wide_b}, [&](WhereNode& node) { node.condition = c; });
}

}  // namespace tern
