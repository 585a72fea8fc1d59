#include "tern/ops/dropout.h"

#include "tern/core/autograd.h"

namespace tern {
namespace {

Tensor masked(const Tensor& x, const DropoutOptions& options) {
  const Tensor y = Tensor::empty(x.shape(), {x.dtype(), x.device()});
  on_device(
      x.device(), [&] { cpu::dropout(options, x, y); }, [&] { cu::dropout(options, x, y); });
  return y;
}

}  // namespace

struct DropoutNode final : OpNode<DropoutNode> {
  static constexpr std::string_view kName = "dropout";
  Gradients backward(const Gradients& dy) override { return {dropout_backward(dy[0], options)}; }
  DropoutOptions options;
};

Tensor dropout(const Tensor& x, DropoutOptions options) {
  check(x.defined(), "dropout: x is undefined");
  check(options.p >= 0 && options.p <= 1, "dropout: p ", options.p,
        " is not a probability; hint: 0 <= p <= 1");
  check<ShapeError>(x.numel() <= int64_t{1} << 34, "dropout: ", x.numel(), " elements, 2^34 can be drawn");
  if (!options.training || options.p == 0) return x;
  return record<DropoutNode>(masked(x, options), {x}, [&](DropoutNode& node) { node.options = options; });
}

Tensor dropout_backward(const Tensor& dy, const DropoutOptions& options) { return masked(dy, options); }

}  // namespace tern
