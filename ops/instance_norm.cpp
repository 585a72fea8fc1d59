#include "tern/ops/instance_norm.h"

#include "tern/core/autograd.h"

namespace tern {
namespace {

// Of gamma, beta and their gradients.
DType type_of_parameters(const Tensor& x) { return x.dtype() == DType::F64 ? DType::F64 : DType::F32; }

void check_parameter(const Tensor& t, const char* what, const Tensor& x) {
  if (!t.defined()) return;
  check<ShapeError>(t.shape() == Shape{x.size(-1)}, "instance_norm: ", what, " must be [", x.size(-1),
                    "], got ", describe(t), " (input ", describe(x), ")");
  check<DTypeError>(t.dtype() == type_of_parameters(x), "instance_norm: ", what, " is ", t.dtype(),
                    ", input is ", x.dtype(), "; ", what, " must be ", type_of_parameters(x));
  check<DeviceError>(t.device() == x.device(), "instance_norm: ", what, " is on ", t.device(), ", input on ",
                     x.device());
}

InstanceNormGeometry checked_geometry(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                      const InstanceNormOptions& options) {
  check<UsageError>(x.defined(), "instance_norm: input is undefined");
  check<ShapeError>(x.rank() == 4, "instance_norm: input must be [N,H,W,C], got ", x.shape());
  check<DTypeError>(is_floating(x.dtype()), "instance_norm: input must be f32, bf16 or f64, got ", x.dtype());
  check<UsageError>(options.eps >= 0, "instance_norm: eps must be at least 0, got ", options.eps);
  check_parameter(gamma, "gamma", x);
  check_parameter(beta, "beta", x);
  return {x.size(0), x.size(1) * x.size(2), x.size(3), options.eps};
}

bool has_elements(const InstanceNormGeometry& g) { return g.images > 0 && g.positions > 0 && g.channels > 0; }

struct InstanceNormNode final : OpNode<InstanceNormNode> {
  static constexpr std::string_view kName = "instance_norm";
  enum Input { kX, kGamma, kBeta };
  Gradients backward(const Gradients& dy) override {
    const Tensor weight = gamma.defined() ? gamma.get(*this) : Tensor();
    const auto d = instance_norm_backward(geometry, dy[0], x.get(*this), weight, statistics,
                                          {.dx = needs(kX), .parameters = needs(kGamma) || needs(kBeta)});
    return {d.dx, needs(kGamma) ? d.dgamma : Tensor(), needs(kBeta) ? d.dbeta : Tensor()};
  }
  InstanceNormGeometry geometry;
  Saved x, gamma;
  Tensor statistics;
};

}  // namespace

Tensor instance_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, InstanceNormOptions options) {
  const InstanceNormGeometry g = checked_geometry(x, gamma, beta, options);
  const Tensor y = Tensor::empty(x.shape(), x.options());
  const Tensor statistics = Tensor::empty({g.images, 2, g.channels}, {DType::F64, x.device()});
  if (has_elements(g))
    on_device(
        x.device(), [&] { cpu::instance_norm_forward(g, x, gamma, beta, statistics, y); },
        [&] { cu::instance_norm_forward(g, x, gamma, beta, statistics, y); });
  return record<InstanceNormNode>(y, {x, gamma, beta}, [&](InstanceNormNode& node) {
    node.geometry = g;
    node.x = x;
    node.gamma = gamma;
    node.statistics = statistics;
  });
}

InstanceNormGradients instance_norm_backward(const InstanceNormGeometry& g, const Tensor& dy, const Tensor& x,
                                             const Tensor& gamma, const Tensor& statistics,
                                             InstanceNormWanted wanted) {
  const Device device = x.device();
  const TensorOptions parameters{type_of_parameters(x), device};
  InstanceNormGradients d;
  if (wanted.parameters) {
    d.dgamma = Tensor::empty({g.channels}, parameters);
    d.dbeta = Tensor::empty({g.channels}, parameters);
  }
  if (!has_elements(g)) {
    if (wanted.parameters) d.dgamma.fill(0), d.dbeta.fill(0);
    if (wanted.dx) d.dx = dy;
    return d;
  }
  const bool one_position = g.positions == 1;  // dx would be all rounding
  const Tensor sums = Tensor::empty({g.images, 2, g.channels}, {DType::F64, device});
  Tensor dx;
  if (wanted.dx && !one_position) d.dx = dx = sole_owner(dy) ? dy : Tensor::empty(x.shape(), x.options());
  on_device(
      device, [&] { cpu::instance_norm_backward(g, dy, x, gamma, statistics, sums, dx); },
      [&] { cu::instance_norm_backward(g, dy, x, gamma, statistics, sums, dx); });
  if (wanted.dx && one_position) {
    d.dx = Tensor::empty(x.shape(), x.options());
    d.dx.fill(0);
  }
  if (wanted.parameters)
    on_device(
        device, [&] { cpu::instance_norm_backward_parameters(g, statistics, sums, d.dgamma, d.dbeta); },
        [&] { cu::instance_norm_backward_parameters(g, statistics, sums, d.dgamma, d.dbeta); });
  return d;
}

}  // namespace tern
