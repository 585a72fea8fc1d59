#include "tern/ops/triplet_margin_loss.h"

#include <cmath>

#include "tern/core/autograd.h"
#include "tern/ops/loss_terms.h"

namespace tern {
namespace {

void check_arguments(const Tensor& a, const Tensor& p, const Tensor& n, const TripletMarginOptions& options) {
  check<ShapeError>(a.rank() == 2 && a.shape() == p.shape() && a.shape() == n.shape(),
                    "triplet_margin_loss: anchor, positive and negative must all be [N,D], got ", a.shape(),
                    ", ", p.shape(), " and ", n.shape());
  check<DTypeError>(a.dtype() == p.dtype() && a.dtype() == n.dtype() &&
                        (a.dtype() == DType::F32 || a.dtype() == DType::F64),
                    "triplet_margin_loss: anchor, positive and negative must all be f32 or all f64, got ",
                    a.dtype(), ", ", p.dtype(), " and ", n.dtype(), "; hint: x.to(DType::F32)");
  check<DeviceError>(a.device() == p.device() && a.device() == n.device(),
                     "triplet_margin_loss: inputs are on ", a.device(), ", ", p.device(), " and ",
                     n.device());
  check(options.p >= 1, "triplet_margin_loss: p must be at least 1 (infinity is allowed), got ", options.p);
  check(options.margin >= 0 && std::isfinite(options.margin),
        "triplet_margin_loss: margin must be a finite number >= 0, got ", options.margin);
}

struct TripletMarginNode final : OpNode<TripletMarginNode> {
  static constexpr std::string_view kName = "triplet_margin_loss";
  Gradients backward(const Gradients& dy) override {
    const Tensor &x = a.get(*this), &y = p.get(*this), &z = n.get(*this);
    const TensorOptions same{x.dtype(), x.device()};
    Tensor da = Tensor::empty(x.shape(), same), dp = Tensor::empty(x.shape(), same),
           dn = Tensor::empty(x.shape(), same);
    const Tensor scale = spread_gradient(dy[0], x.size(0), reduction);
    on_device(
        x.device(), [&] { cpu::triplet_margin_backward(scale, x, y, z, options, da, dp, dn); },
        [&] { cu::triplet_margin_backward(scale, x, y, z, options, da, dp, dn); });
    return {da, dp, dn};
  }
  Saved a, p, n;
  TripletMarginOptions options;
  TermReduction reduction;
};

}  // namespace

Tensor triplet_margin_loss(const Tensor& a, const Tensor& p, const Tensor& n, TripletMarginOptions options) {
  check_arguments(a, p, n, options);
  const Tensor losses = Tensor::empty({a.size(0)}, {DType::F64, a.device()});
  on_device(
      a.device(), [&] { cpu::triplet_margin_forward(a, p, n, options, losses); },
      [&] { cu::triplet_margin_forward(a, p, n, options, losses); });
  TermReduction reduction{options.reduction};
  const Tensor loss = reduce_losses(losses, a.dtype(), reduction);
  return record<TripletMarginNode>(loss, {a, p, n}, [&](TripletMarginNode& node) {
    node.a = a;
    node.p = p;
    node.n = n;
    node.options = options;
    node.reduction = reduction;
  });
}

}  // namespace tern
