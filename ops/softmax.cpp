#include "tern/ops/softmax.h"

#include "tern/core/autograd.h"

namespace tern {
namespace {

Tensor output_for(const char* op, const Tensor& x) {
  check(x.defined(), op, ": x is undefined");
  check<ShapeError>(x.rank() >= 1 && x.size(-1) >= 1, op, ": needs a last dimension of at least 1, got ",
                    x.shape());
  return Tensor::empty(x.shape(), {x.dtype(), x.device()});
}

}  // namespace

struct SoftmaxNode final : OpNode<SoftmaxNode> {
  static constexpr std::string_view kName = "softmax";
  Gradients backward(const Gradients& dy) override { return {softmax_backward(y.get(*this), dy[0])}; }
  Saved y;
};

Tensor softmax(const Tensor& x) {
  const Tensor y = output_for("softmax", x);
  on_device(
      x.device(), [&] { cpu::softmax(x, y); }, [&] { cu::softmax(x, y); });
  return record<SoftmaxNode>(y, {x}, [&](SoftmaxNode& node) { node.y = y; });
}

Tensor softmax_backward(const Tensor& y, const Tensor& dy) {
  const Tensor dx = output_for("softmax_backward", dy);
  on_device(
      dy.device(), [&] { cpu::softmax_backward(y, dy, dx); }, [&] { cu::softmax_backward(y, dy, dx); });
  return dx;
}

struct LogSoftmaxNode final : OpNode<LogSoftmaxNode> {
  static constexpr std::string_view kName = "log_softmax";
  Gradients backward(const Gradients& dy) override { return {log_softmax_backward(y.get(*this), dy[0])}; }
  Saved y;
};

Tensor log_softmax(const Tensor& x) {
  const Tensor y = output_for("log_softmax", x);
  on_device(
      x.device(), [&] { cpu::log_softmax(x, y); }, [&] { cu::log_softmax(x, y); });
  return record<LogSoftmaxNode>(y, {x}, [&](LogSoftmaxNode& node) { node.y = y; });
}

Tensor log_softmax_backward(const Tensor& y, const Tensor& dy) {
  const Tensor dx = output_for("log_softmax_backward", dy);
  on_device(
      dy.device(), [&] { cpu::log_softmax_backward(y, dy, dx); },
      [&] { cu::log_softmax_backward(y, dy, dx); });
  return dx;
}

}  // namespace tern
