#include "tern/ops/l2_normalize.h"

#include "tern/core/autograd.h"

namespace tern {
namespace {

struct L2NormalizeNode final : OpNode<L2NormalizeNode> {
  static constexpr std::string_view kName = "l2_normalize";
  Gradients backward(const Gradients& dy) override {
    return {l2_normalize_backward(dy[0], y.get(*this), inverse.get(*this))};
  }
  Saved y, inverse;
};

}  // namespace

Tensor l2_normalize(const Tensor& x, L2NormalizeOptions options) {
  check<ShapeError>(x.rank() >= 1, "l2_normalize: input must have at least one axis, got ", describe(x));
  if (x.dtype() == DType::BF16) return l2_normalize(x.to(DType::F32), options);
  check<DTypeError>(x.dtype() == DType::F32 || x.dtype() == DType::F64,
                    "l2_normalize: supports f32, f64 and bf16, got ", x.dtype());
  check(options.eps > 0, "l2_normalize: eps must be positive, got ", options.eps);
  const int64_t rows = x.size(-1) == 0 ? 0 : x.numel() / x.size(-1);
  Tensor y = Tensor::empty(x.shape(), {x.dtype(), x.device()});
  Tensor inverse = Tensor::empty({rows}, {DType::F64, x.device()});
  on_device(
      x.device(), [&] { cpu::l2_normalize_forward(x, options.eps, y, inverse); },
      [&] { cu::l2_normalize_forward(x, options.eps, y, inverse); });
  return record<L2NormalizeNode>(y, {x}, [&](L2NormalizeNode& node) {
    node.y = y;
    node.inverse = inverse;
  });
}

Tensor l2_normalize_backward(const Tensor& dy, const Tensor& y, const Tensor& inverse) {
  Tensor dx = Tensor::empty(y.shape(), {y.dtype(), y.device()});
  on_device(
      y.device(), [&] { cpu::l2_normalize_backward(dy, y, inverse, dx); },
      [&] { cu::l2_normalize_backward(dy, y, inverse, dx); });
  return dx;
}

}  // namespace tern
