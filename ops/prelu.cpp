#include "tern/ops/prelu.h"

#include "tern/ops/pointwise_nodes.h"

namespace tern {
namespace {

struct PreluNode final : OpNode<PreluNode> {
  static constexpr std::string_view kName = "prelu";
  Gradients backward(const Gradients& dy) override {
    const Tensor &xt = x.get(*this), &wt = w.get(*this);
    const Tensor dx = sole_owner(dy[0]) ? dy[0] : Tensor::empty(xt.shape(), {xt.dtype(), xt.device()});
    const Tensor dw = Tensor::empty(wt.shape(), {wt.dtype(), wt.device()});
    cpu::prelu_backward(xt, wt, dy[0], dx, dw);
    return {dx, dw};
  }
  Saved x, w;
};

// What the kernels of prelu take; the rest goes through the pointwise formula.
bool has_kernel(const Tensor& x, const Tensor& w) {
  if (!x.device().is_cpu() || !w.device().is_cpu()) return false;
  const DType tx = x.dtype(), tw = w.dtype();
  if (tw == DType::F64) return tx == DType::F64;
  return tw == DType::F32 && (tx == DType::F32 || tx == DType::BF16);
}

}  // namespace

Tensor prelu(const Tensor& x, const Tensor& w) {
  check(x.defined() && w.defined(), "prelu: ", x.defined() ? "w" : "x", " is undefined");
  const bool fits = w.rank() == 1 && (w.numel() == 1 || (x.rank() > 0 && w.numel() == x.size(-1)));
  check<ShapeError>(fits, "prelu: slope must be [1] or [C], C the last dimension of x (x ", x.shape(), ", w ",
                    w.shape(), ")");
  if (!has_kernel(x, w)) return binary(Prelu{}, x, w);
  const Tensor y = Tensor::empty(x.shape(), {x.dtype(), x.device()});
  cpu::prelu_forward(x, w, y);
  return record<PreluNode>(y, {x, w}, [&](PreluNode& node) {
    node.x = x;
    node.w = w;
  });
}

}  // namespace tern
