#include "tern/ops/linear.h"

#include "tern/core/autograd.h"
#include "tern/ops/conv2d.h"
#include "tern/ops/matmul.h"
#include "tern/ops/multiply_adds.h"
#include "tern/ops/reduce.h"
#include "tern/ops/shape_ops.h"

namespace tern {
namespace {

void check_linear(const Tensor& x, const Tensor& w, const Tensor& bias) {
  check<UsageError>(x.defined() && w.defined(), "linear: input and weight must be defined tensors");
  check<ShapeError>(w.rank() == 2, "linear: weight must be [O,I], got ", w.shape());
  check<ShapeError>(x.rank() >= 1, "linear: input must be [..,I], got one number");
  check<ShapeError>(x.size(-1) == w.size(1), "linear: input has ", x.size(-1), " features, weight expects ",
                    w.size(1), " (input ", x.shape(), ", weight ", w.shape(),
                    "); hint: flatten feature maps with flatten(x)");
  check<DTypeError>(is_floating(x.dtype()), "linear: input is ", x.dtype(),
                    "; supported are f32, f64 and bf16");
  check<DTypeError>(w.dtype() == parameter_type(x.dtype()), "linear: input is ", x.dtype(), ", weight is ",
                    w.dtype(), "; both must have one type, or bf16 meet f32");
  check<DeviceError>(w.device() == x.device(), "linear: input is on ", x.device(), ", weight is on ",
                     w.device(), "; hint: move one with .to(device)");
  if (!bias.defined()) return;
  check<ShapeError>(bias.rank() == 1 && bias.size(0) == w.size(0), "linear: bias must be [", w.size(0),
                    "], got ", bias.shape());
  check<DTypeError>(bias.dtype() == w.dtype(), "linear: weight is ", w.dtype(), ", bias is ", bias.dtype(),
                    "; both must have one type");
  check<DeviceError>(bias.device() == x.device(), "linear: input is on ", x.device(), ", bias is on ",
                     bias.device(), "; hint: move one with .to(device)");
}

// The product of all axes but the last.
int64_t leading(const Shape& shape) {
  int64_t rows = 1;
  for (int axis = 0; axis + 1 < shape.rank(); ++axis) rows *= shape[axis];
  return rows;
}

struct LinearNode final : OpNode<LinearNode> {
  static constexpr std::string_view kName = "linear";
  Gradients backward(const Gradients& dy) override {
    Gradients gradients(3);
    if (needs(0)) gradients[0] = linear_backward_data(dy[0], w.get(*this));
    if (needs(1)) gradients[1] = linear_backward_weight(dy[0], x.get(*this));
    if (needs(2)) gradients[2] = linear_backward_bias(dy[0]);
    return gradients;
  }
  Saved x, w;
};

// bf16 activations: a 1x1 convolution of images of one pixel, the rows.
Tensor linear_bf16(const Tensor& x, const Tensor& w, const Tensor& bias) {
  const int64_t in = w.size(1), out = w.size(0);
  const Tensor y = conv2d(reshape(x, {leading(x.shape()), 1, 1, in}), reshape(w, {out, 1, 1, in}), bias);
  return reshape(y, x.shape().with(-1, out));
}

}  // namespace

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias) {
  check_linear(x, w, bias);
  if (x.dtype() == DType::BF16) return linear_bf16(x, w, bias);
  const Tensor y = Tensor::empty(x.shape().with(-1, w.size(0)), x.options());
  count_multiply_adds(x.numel() * w.size(0));
  matmul_into(
      {.m = leading(x.shape()), .n = w.size(0), .k = w.size(1), .transpose_b = true, .b_is_weight = true}, x,
      w, bias, y);
  return record<LinearNode>(y, {x, w, bias}, [&](LinearNode& node) {
    if (w.requires_grad()) node.x = x;
    if (x.requires_grad()) node.w = w;
  });
}

Tensor linear_backward_data(const Tensor& dy, const Tensor& w) {
  const Tensor dx = Tensor::empty(dy.shape().with(-1, w.size(1)), dy.options());
  matmul_into({.m = leading(dy.shape()), .n = w.size(1), .k = w.size(0)}, dy, w, {}, dx);
  return dx;
}

Tensor linear_backward_weight(const Tensor& dy, const Tensor& x) {
  const Tensor dw = Tensor::empty({dy.size(-1), x.size(-1)}, dy.options());
  matmul_into({.m = dy.size(-1), .n = x.size(-1), .k = leading(x.shape()), .transpose_a = true}, dy, x, {},
              dw);
  return dw;
}

Tensor linear_backward_bias(const Tensor& dy) {
  const NoGradGuard guard;
  return sum(reshape(dy, Shape{leading(dy.shape()), dy.size(-1)}), 0);
}

}  // namespace tern
