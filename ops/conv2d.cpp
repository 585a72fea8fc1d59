#include "tern/ops/conv2d.h"

#include <vector>

#include "tern/core/autograd.h"
#include "tern/ops/multiply_adds.h"

namespace tern {
namespace {

// Output size along one axis.
int64_t output_size(const char* axis, int64_t size, int64_t kernel, int64_t stride, int64_t padding,
                    int64_t dilation) {
  const int64_t padded = checked::add(size, checked::mul(2, padding));
  const int64_t reach = checked::add(checked::mul(dilation, kernel - 1), 1);
  check<ShapeError>(reach <= padded, "conv2d: the kernel reaches over ", reach, " pixels of ", axis,
                    ", the padded input has ", padded, " (size ", size, ", kernel ", kernel, ", padding ",
                    padding, ", dilation ", dilation,
                    "); hint: more padding, a smaller kernel, or a larger photo");
  return (padded - reach) / stride + 1;
}

void check_options(const Conv2dOptions& options) {
  const auto both = [](const char* name, Size2 value, int64_t least) {
    check<UsageError>(value.h >= least && value.w >= least, "conv2d: ", name, " must be at least ", least,
                      ", got {", value.h, ",", value.w, "}");
  };
  both("stride", options.stride, 1);
  both("padding", options.padding, 0);
  both("dilation", options.dilation, 1);
  check<UsageError>(options.groups >= 1, "conv2d: groups must be at least 1, got ", options.groups);
}

std::string channels(int64_t count) { return concat_text(count, count == 1 ? " channel" : " channels"); }

void check_types(const Tensor& x, const Tensor& w, const Tensor& bias) {
  check<UsageError>(x.defined() && w.defined(), "conv2d: input and weight must be defined tensors");
  check<DTypeError>(is_floating(x.dtype()), "conv2d: input is ", x.dtype(),
                    "; supported are f32, f64 and bf16; hint: x.to(DType::F32)");
  check<DTypeError>(w.dtype() == parameter_type(x.dtype()), "conv2d: input is ", x.dtype(), ", weight is ",
                    w.dtype(), "; both must have one type, or bf16 meet f32");
  check<DeviceError>(w.device() == x.device(), "conv2d: input is on ", x.device(), ", weight is on ",
                     w.device(), "; hint: move one with .to(device)");
  if (!bias.defined()) return;
  check<ShapeError>(bias.rank() == 1 && bias.size(0) == w.size(0), "conv2d: bias must be [", w.size(0),
                    "], got ", bias.shape(), " (weight ", w.shape(), ")");
  check<DTypeError>(bias.dtype() == w.dtype(), "conv2d: weight is ", w.dtype(), ", bias is ", bias.dtype(),
                    "; both must have one type");
  check<DeviceError>(bias.device() == x.device(), "conv2d: input is on ", x.device(), ", bias is on ",
                     bias.device(), "; hint: move one with .to(device)");
}

struct Conv2dNode final : OpNode<Conv2dNode> {
  static constexpr std::string_view kName = "conv2d";
  Gradients backward(const Gradients& dy) override {
    Gradients gradients(3);
    if (needs(0)) gradients[0] = conv2d_backward_data(geometry, dy[0], w.get(*this));
    if (needs(1)) gradients[1] = conv2d_backward_weight(geometry, dy[0], x.get(*this));
    if (needs(2)) gradients[2] = conv2d_backward_bias(geometry, dy[0]);
    return gradients;
  }
  Conv2dGeometry geometry;
  Saved x, w;
};

}  // namespace

Conv2dGeometry conv2d_geometry(const Shape& x, const Shape& w, const Conv2dOptions& options) {
  check_options(options);
  check<ShapeError>(x.rank() == 4, "conv2d: input must be [N,H,W,C], got ", x);
  check<ShapeError>(w.rank() == 4, "conv2d: weight must be [O,kH,kW,C/groups], got ", w);
  const int64_t groups = options.groups;
  check<ShapeError>(w[0] >= 1 && w[1] >= 1 && w[2] >= 1 && w[3] >= 1, "conv2d: weight has an empty axis ", w);
  const int64_t expected = checked::mul(w[3], groups);
  check<ShapeError>(x[3] == expected, "conv2d: input has ", channels(x[3]), ", weight expects ", expected,
                    " (input ", x, ", weight ", w, ", groups ", groups,
                    "); hint: activations are channels last, [N,H,W,C]");
  check<ShapeError>(w[0] % groups == 0, "conv2d: ", w[0], " output channels do not divide into ", groups,
                    " groups (weight ", w, ")");
  Conv2dGeometry g{.n = x[0],
                   .h = x[1],
                   .w = x[2],
                   .c = x[3],
                   .o = w[0],
                   .kh = w[1],
                   .kw = w[2],
                   .out_h = 0,
                   .out_w = 0,
                   .stride = options.stride,
                   .padding = options.padding,
                   .dilation = options.dilation,
                   .groups = groups};
  g.out_h = output_size("height", g.h, g.kh, g.stride.h, g.padding.h, g.dilation.h);
  g.out_w = output_size("width", g.w, g.kw, g.stride.w, g.padding.w, g.dilation.w);
  (void)g.y_shape();  // throws if y would be too large
  return g;
}

namespace {

// forward(geometry, y) computes y.
template <class Forward>
Tensor convolve(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                const Forward& forward) {
  check_types(x, w, bias);
  const Conv2dGeometry g = conv2d_geometry(x.shape(), w.shape(), options);
  count_multiply_adds(g.pixels() * g.o * g.patch());
  const Tensor y = Tensor::empty(g.y_shape(), x.options());
  forward(g, y);
  return record<Conv2dNode>(y, {x, w, bias}, [&](Conv2dNode& node) {
    node.geometry = g;
    if (w.requires_grad()) node.x = x;
    if (x.requires_grad()) node.w = w;
  });
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options) {
  return convolve(x, w, bias, options, [&](const Conv2dGeometry& g, const Tensor& y) {
    on_device(
        x.device(), [&] { cpu::conv2d_forward(g, x, w, bias, y); },
        [&] { cu::conv2d_forward(g, x, w, bias, y); });
  });
}

Conv2dWithStatistics conv2d_with_statistics(const Tensor& x, const Tensor& w, const Tensor& bias,
                                            const Conv2dOptions& options) {
  Tensor statistics;
  const Tensor y = convolve(x, w, bias, options, [&](const Conv2dGeometry& g, const Tensor& out) {
    on_device(
        x.device(),
        [&] {
          statistics = Tensor::empty({2, g.o}, {.dtype = DType::F64});
          if (!cpu::conv2d_forward_statistics(g, x, w, bias, out, statistics)) statistics = {};
        },
        [&] { cu::conv2d_forward(g, x, w, bias, out); });
  });
  return {y, statistics};
}

namespace {

// Of a fused convolution of an input of x's type and device and of this shape.
Conv2dGeometry check_fused(const Tensor& x, const Shape& shape, const Conv2dStep& step) {
  check<UsageError>(!grad_enabled(), "conv2d_fused: has no backward pass; hint: NoGradGuard, or conv2d");
  check_types(x, step.weight, step.bias);
  const Conv2dGeometry g = conv2d_geometry(shape, step.weight.shape(), step.options);
  const Tensor &residual = step.epilogue.residual, &slope = step.epilogue.slope;
  if (residual.defined())
    check<ShapeError>(residual.shape() == g.y_shape() && residual.dtype() == x.dtype(),
                      "conv2d_fused: residual is ", describe(residual), ", the output ", x.dtype(), " ",
                      g.y_shape());
  check<ShapeError>(slope.defined() == (step.epilogue.activation == Activation::Prelu) &&
                        (!slope.defined() || slope.shape() == Shape{g.o}),
                    "conv2d_fused: PReLU needs a slope [", g.o, "]");
  return g;
}

}  // namespace

Tensor conv2d_fused(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                    const Conv2dEpilogue& epilogue) {
  const Conv2dGeometry g = check_fused(x, x.defined() ? x.shape() : Shape{}, {w, bias, options, epilogue});
  count_multiply_adds(g.pixels() * g.o * g.patch());
  const Tensor y = Tensor::empty(g.y_shape(), x.options());
  on_device(
      x.device(), [&] { cpu::conv2d_forward_fused(g, x, w, bias, epilogue, y); },
      [&] { cu::conv2d_forward_fused(g, x, w, bias, epilogue, y); });
  return y;
}

Tensor conv2d_chain(const Tensor& x, std::span<const Conv2dStep> steps) {
  std::vector<Conv2dGeometry> geometries;
  int64_t multiply_adds = 0;
  for (Shape shape = x.defined() ? x.shape() : Shape{}; const Conv2dStep& step : steps) {
    const Conv2dGeometry& g = geometries.emplace_back(check_fused(x, shape, step));
    multiply_adds += g.pixels() * g.o * g.patch();
    shape = g.y_shape();
  }
  if (x.device().is_cpu() && cpu::conv2d_chain_fits(geometries, x, steps)) {
    count_multiply_adds(multiply_adds);
    const Tensor y = Tensor::empty(geometries.back().y_shape(), x.options());
    cpu::conv2d_chain(geometries, x, steps, y);
    return y;
  }
  Tensor y = x;
  for (const Conv2dStep& s : steps) y = conv2d_fused(y, s.weight, s.bias, s.options, s.epilogue);
  return y;
}

Tensor conv2d_backward_data(const Conv2dGeometry& g, const Tensor& dy, const Tensor& w) {
  const Tensor dx = Tensor::empty(g.x_shape(), dy.options());
  on_device(
      dy.device(), [&] { cpu::conv2d_backward_data(g, dy, w, dx); },
      [&] { cu::conv2d_backward_data(g, dy, w, dx); });
  return dx;
}

Tensor conv2d_backward_weight(const Conv2dGeometry& g, const Tensor& dy, const Tensor& x) {
  const Tensor dw = Tensor::empty(g.w_shape(), {parameter_type(dy.dtype()), dy.device()});
  on_device(
      dy.device(), [&] { cpu::conv2d_backward_weight(g, dy, x, dw); },
      [&] { cu::conv2d_backward_weight(g, dy, x, dw); });
  return dw;
}

Tensor conv2d_backward_bias(const Conv2dGeometry& g, const Tensor& dy) {
  const Tensor db = Tensor::empty({g.o}, {parameter_type(dy.dtype()), dy.device()});
  on_device(
      dy.device(), [&] { cpu::conv2d_backward_bias(g, dy, db); },
      [&] { cu::conv2d_backward_bias(g, dy, db); });
  return db;
}

}  // namespace tern
