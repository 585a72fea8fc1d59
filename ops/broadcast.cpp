#include "tern/ops/broadcast.h"

#include <algorithm>

#include "tern/core/autograd.h"

namespace tern {
namespace {

int64_t dim_from_back(const Shape& shape, int back) { return back < shape.rank() ? shape[-1 - back] : 1; }

BroadcastGeometry one_row(const Shape& shape, int64_t a_stride, int64_t b_stride) {
  BroadcastGeometry g;
  g.shape = shape;
  g.size[0] = shape.numel();
  g.a_stride[0] = a_stride;
  g.b_stride[0] = b_stride;
  return g;
}

}  // namespace

BroadcastGeometry broadcast_geometry(const char* op, const Shape& a, const Shape& b) {
  if (a == b) return one_row(a, 1, 1);
  const int rank = std::max(a.rank(), b.rank());
  std::array<int64_t, Shape::kMaxRank> dims{};
  BroadcastGeometry g;
  int merged = 0;  // counted from the innermost dimension; reversed below
  bool a_repeats = false, b_repeats = false;
  int64_t a_step = 1, b_step = 1;
  for (int back = 0; back < rank; ++back) {
    const int64_t na = dim_from_back(a, back), nb = dim_from_back(b, back);
    check<ShapeError>(na == nb || na == 1 || nb == 1, op, ": shapes ", a, " and ", b,
                      " do not broadcast; hint: trailing dimensions must be equal or 1");
    const int64_t n = na == 1 ? nb : na;
    dims[static_cast<size_t>(rank - 1 - back)] = n;
    if (n == 1) continue;
    const bool a_here = na == 1, b_here = nb == 1;
    if (merged > 0 && a_here == a_repeats && b_here == b_repeats) {
      g.size[static_cast<size_t>(merged - 1)] *= n;
    } else {
      const auto i = static_cast<size_t>(merged++);
      g.size[i] = n;
      g.a_stride[i] = a_here ? 0 : a_step;
      g.b_stride[i] = b_here ? 0 : b_step;
      a_repeats = a_here;
      b_repeats = b_here;
    }
    a_step *= na;
    b_step *= nb;
  }
  const Shape shape(std::span<const int64_t>(dims.data(), static_cast<size_t>(rank)));
  if (merged == 0) return one_row(shape, 1, 1);
  g.shape = shape;
  g.rank = merged;
  std::reverse(g.size.begin(), g.size.begin() + merged);
  std::reverse(g.a_stride.begin(), g.a_stride.begin() + merged);
  std::reverse(g.b_stride.begin(), g.b_stride.begin() + merged);
  return g;
}

struct BroadcastToNode final : OpNode<BroadcastToNode> {
  static constexpr std::string_view kName = "broadcast_to";
  Gradients backward(const Gradients& dy) override { return {dy[0]}; }  // the engine sums it down
};

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  check(x.defined(), "broadcast_to: x is undefined");
  if (x.shape() == shape) return x;
  const BroadcastGeometry geometry = broadcast_geometry("broadcast_to", x.shape(), shape);
  check<ShapeError>(geometry.shape == shape, "broadcast_to: ", x.shape(), " does not stretch to ", shape);
  const Tensor y = Tensor::empty(shape, {x.dtype(), x.device()});
  on_device(
      x.device(), [&] { cpu::broadcast_copy(geometry, x, y); }, [&] { cu::broadcast_copy(geometry, x, y); });
  return record<BroadcastToNode>(y, {x}, [](BroadcastToNode&) {});
}

}  // namespace tern
