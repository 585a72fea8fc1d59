#include "tern/ops/pool2d.h"

namespace tern {
namespace {

constexpr int64_t kMaxKernelOfMax = 16;  // positions in the window fit in a byte

void check_input(const char* op, const Tensor& x) {
  check<UsageError>(x.defined(), op, ": input is undefined");
  check<ShapeError>(x.rank() == 4, op, ": input must be [N,H,W,C], got ", x.shape());
  check<DTypeError>(is_floating(x.dtype()), op, ": input must be f32, f64 or bf16, got ", x.dtype());
}

Pool2dGeometry make_geometry(const char* op, const Tensor& x, int64_t kernel, int64_t stride,
                             int64_t padding) {
  check_input(op, x);
  if (stride == 0) stride = kernel;
  check<UsageError>(kernel >= 1 && stride >= 1 && padding >= 0, op,
                    ": kernel and stride must be at least 1 and padding at least 0, got ", kernel, ", ",
                    stride, ", ", padding);
  check<ShapeError>(2 * padding <= kernel, op, ": padding ", padding, " exceeds half the kernel ", kernel);
  Pool2dGeometry g{.images = x.size(0), .height = x.size(1), .width = x.size(2), .channels = x.size(3)};
  check<ShapeError>(g.height + 2 * padding >= kernel && g.width + 2 * padding >= kernel, op, ": kernel ",
                    kernel, " is larger than the padded input ", x.shape(), " (padding ", padding, ")");
  g.kernel = kernel, g.stride = stride, g.padding = padding;
  g.out_height = (g.height + 2 * padding - kernel) / stride + 1;
  g.out_width = (g.width + 2 * padding - kernel) / stride + 1;
  return g;
}

struct MaxPool2dNode final : OpNode<MaxPool2dNode> {
  static constexpr std::string_view kName = "max_pool2d";
  Gradients backward(const Gradients& dy) override { return {max_pool2d_backward(geometry, dy[0], index)}; }
  Pool2dGeometry geometry;
  Tensor index;
};

struct AvgPool2dNode final : OpNode<AvgPool2dNode> {
  static constexpr std::string_view kName = "avg_pool2d";
  Gradients backward(const Gradients& dy) override { return {avg_pool2d_backward(geometry, dy[0])}; }
  Pool2dGeometry geometry;
};

struct GlobalAvgPool2dNode final : OpNode<GlobalAvgPool2dNode> {
  static constexpr std::string_view kName = "global_avg_pool2d";
  Gradients backward(const Gradients& dy) override {
    return {global_avg_pool2d_backward(input_shape, dy[0])};
  }
  Shape input_shape;
};

}  // namespace

Tensor max_pool2d(const Tensor& x, MaxPool2dOptions options) {
  const Pool2dGeometry g = make_geometry("max_pool2d", x, options.kernel, options.stride, options.padding);
  check<UsageError>(g.kernel <= kMaxKernelOfMax, "max_pool2d: kernel ", g.kernel, " exceeds ",
                    kMaxKernelOfMax);
  Tensor y = Tensor::empty(g.output_shape(), {x.dtype(), x.device()}), index;
  if (grad_enabled() && x.requires_grad()) index = Tensor::empty(g.output_shape(), {DType::U8, x.device()});
  on_device(
      x.device(), [&] { cpu::max_pool2d_forward(g, x, y, index); },
      [&] { cu::max_pool2d_forward(g, x, y, index); });
  return record<MaxPool2dNode>(y, {x}, [&](MaxPool2dNode& node) {
    node.geometry = g;
    node.index = index;
  });
}

Tensor max_pool2d_backward(const Pool2dGeometry& g, const Tensor& dy, const Tensor& index) {
  Tensor dx = Tensor::empty(g.input_shape(), {dy.dtype(), dy.device()});
  on_device(
      dy.device(), [&] { cpu::max_pool2d_backward(g, dy, index, dx); },
      [&] { cu::max_pool2d_backward(g, dy, index, dx); });
  return dx;
}

Tensor avg_pool2d(const Tensor& x, AvgPool2dOptions options) {
  Pool2dGeometry g = make_geometry("avg_pool2d", x, options.kernel, options.stride, options.padding);
  g.count_include_pad = options.count_include_pad;
  Tensor y = Tensor::empty(g.output_shape(), {x.dtype(), x.device()});
  on_device(
      x.device(), [&] { cpu::avg_pool2d_forward(g, x, y); }, [&] { cu::avg_pool2d_forward(g, x, y); });
  return record<AvgPool2dNode>(y, {x}, [&](AvgPool2dNode& node) { node.geometry = g; });
}

Tensor avg_pool2d_backward(const Pool2dGeometry& g, const Tensor& dy) {
  Tensor dx = Tensor::empty(g.input_shape(), {dy.dtype(), dy.device()});
  on_device(
      dy.device(), [&] { cpu::avg_pool2d_backward(g, dy, dx); }, [&] { cu::avg_pool2d_backward(g, dy, dx); });
  return dx;
}

Tensor global_avg_pool2d(const Tensor& x) {
  check_input("global_avg_pool2d", x);
  check<ShapeError>(x.size(1) * x.size(2) > 0, "global_avg_pool2d: input has no pixels: ", x.shape());
  Tensor y = Tensor::empty({x.size(0), x.size(3)}, {x.dtype(), x.device()});
  on_device(
      x.device(), [&] { cpu::global_avg_pool2d_forward(x, y); },
      [&] { cu::global_avg_pool2d_forward(x, y); });
  return record<GlobalAvgPool2dNode>(y, {x},
                                     [&](GlobalAvgPool2dNode& node) { node.input_shape = x.shape(); });
}

Tensor global_avg_pool2d_backward(const Shape& input_shape, const Tensor& dy) {
  Tensor dx = Tensor::empty(input_shape, {dy.dtype(), dy.device()});
  on_device(
      dy.device(), [&] { cpu::global_avg_pool2d_backward(dy, dx); },
      [&] { cu::global_avg_pool2d_backward(dy, dx); });
  return dx;
}

}  // namespace tern
