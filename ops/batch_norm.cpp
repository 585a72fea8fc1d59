#include "tern/ops/batch_norm.h"

#include <array>

namespace tern {
namespace {

void check_channels(const Tensor& t, const char* what, const Tensor& x) {
  if (!t.defined()) return;
  check<ShapeError>(t.shape() == Shape{x.size(-1)}, "batch_norm: ", what, " must be [", x.size(-1), "], got ",
                    describe(t), " (input ", describe(x), ")");
  check<DTypeError>(t.dtype() == x.dtype(), "batch_norm: ", what, " is ", t.dtype(), ", input is ",
                    x.dtype());
  check<DeviceError>(t.device() == x.device(), "batch_norm: ", what, " is on ", t.device(), ", input on ",
                     x.device());
}

BatchNormGeometry make_geometry(const Tensor& x, const BatchNormOptions& options) {
  check<UsageError>(x.defined(), "batch_norm: input is undefined");
  check<ShapeError>(x.rank() >= 2, "batch_norm: input must be [N,H,W,C] or [N,C], got ", x.shape());
  check<DTypeError>(x.dtype() == DType::F32 || x.dtype() == DType::F64,
                    "batch_norm: input must be f32 or f64, got ", x.dtype());
  check<UsageError>(options.eps >= 0 && options.momentum >= 0 && options.momentum <= 1,
                    "batch_norm: eps must be at least 0 and momentum in [0,1], got ", options.eps, " and ",
                    options.momentum);
  BatchNormGeometry g{
      .channels = x.size(-1), .eps = options.eps, .training = options.training, .relu = options.relu};
  g.rows = g.channels == 0 ? 0 : x.numel() / g.channels;
  check<ShapeError>(!g.training || g.rows >= 2,
                    "batch_norm: training needs more than one value per channel, input ", x.shape(), " has ",
                    g.rows, "; hint: a larger batch, or evaluation mode");
  return g;
}

// Mean and variance to normalise with: of the batch, or the running ones.
Tensor statistics_for(const BatchNormGeometry& g, const Tensor& x, const Tensor& running_mean,
                      const Tensor& running_var) {
  Tensor statistics = Tensor::empty({2, g.channels}, {DType::F64, x.device()});
  if (g.training) {
    on_device(
        x.device(), [&] { cpu::batch_norm_statistics(g, x, statistics); },
        [&] { cu::batch_norm_statistics(g, x, statistics); });
  } else {
    on_device(
        x.device(), [&] { cpu::batch_norm_load_running(running_mean, running_var, statistics); },
        [&] { cu::batch_norm_load_running(running_mean, running_var, statistics); });
  }
  return statistics;
}

Tensor make_mask(const BatchNormGeometry& g, Device device) {
  const int64_t words = on_device(
      device, [&] { return cpu::batch_norm_mask_words(g); }, [&] { return cu::batch_norm_mask_words(g); });
  return Tensor::empty({words}, {DType::I32, device});
}

struct BatchNormNode final : OpNode<BatchNormNode> {
  static constexpr std::string_view kName = "batch_norm";

  Gradients backward(const Gradients& dy) override {
    const Tensor none;
    auto d =
        batch_norm_backward(geometry, dy[0], x.get(*this), gamma.defined() ? gamma.get(*this) : none, state,
                            {.dx = needs(0), .parameters = needs(1) || needs(2), .dresidual = needs(3)});
    return {d.dx, needs(1) ? d.dgamma : none, needs(2) ? d.dbeta : none, d.dresidual};
  }

  BatchNormGeometry geometry;
  Saved x, gamma;
  BatchNormState state;
};

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                  const Tensor& running_var, BatchNormOptions options, const Tensor& residual) {
  const BatchNormGeometry g = make_geometry(x, options);
  check_channels(gamma, "gamma", x);
  check_channels(beta, "beta", x);
  check_channels(running_mean, "running_mean", x);
  check_channels(running_var, "running_var", x);
  check<UsageError>(
      running_mean.defined() == running_var.defined() && (g.training || running_mean.defined()),
      "batch_norm: running_mean and running_var must be given together, and in evaluation always");
  if (residual.defined()) {
    check<ShapeError>(residual.shape() == x.shape(), "batch_norm: residual ", residual.shape(),
                      " must have the shape of the input ", x.shape());
    check<DTypeError>(residual.dtype() == x.dtype(), "batch_norm: residual is ", residual.dtype(),
                      ", input is ", x.dtype());
    check<DeviceError>(residual.device() == x.device(), "batch_norm: residual is on ", residual.device(),
                       ", input on ", x.device());
  }

  const std::array inputs{x, gamma, beta, residual};
  BatchNormState state{.statistics = statistics_for(g, x, running_mean, running_var)};
  if (g.relu && detail::wants_gradient(inputs)) state.mask = make_mask(g, x.device());
  Tensor y = Tensor::empty(x.shape(), {x.dtype(), x.device()});
  on_device(
      x.device(), [&] { cpu::batch_norm_apply(g, x, gamma, beta, residual, state, y); },
      [&] { cu::batch_norm_apply(g, x, gamma, beta, residual, state, y); });
  if (g.training && running_mean.defined()) {
    on_device(
        x.device(),
        [&] {
          cpu::batch_norm_update_running(g, state.statistics, options.momentum, running_mean, running_var);
        },
        [&] {
          cu::batch_norm_update_running(g, state.statistics, options.momentum, running_mean, running_var);
        });
  }
  return record<BatchNormNode>(y, inputs, [&](BatchNormNode& node) {
    node.geometry = g;
    node.x = x;
    if (gamma.defined()) node.gamma = gamma;
    node.state = state;
  });
}

BatchNormGradients batch_norm_backward(const BatchNormGeometry& g, const Tensor& dy, const Tensor& x,
                                       const Tensor& gamma, const BatchNormState& state,
                                       BatchNormWanted wanted) {
  const Device device = x.device();
  BatchNormGradients d;
  if (wanted.dresidual) d.dresidual = g.relu ? Tensor::empty(x.shape(), {x.dtype(), device}) : dy;
  if (wanted.dx) d.dx = Tensor::empty(x.shape(), {x.dtype(), device});

  Tensor sums;
  if (wanted.parameters || (wanted.dx && g.training)) {
    sums = Tensor::empty({2, g.channels}, {DType::F64, device});
    on_device(
        device, [&] { cpu::batch_norm_backward_reduce(g, dy, x, state, sums); },
        [&] { cu::batch_norm_backward_reduce(g, dy, x, state, sums); });
  }
  if (wanted.parameters) {
    d.dgamma = Tensor::empty({g.channels}, {x.dtype(), device});
    d.dbeta = Tensor::empty({g.channels}, {x.dtype(), device});
    on_device(
        device, [&] { cpu::batch_norm_backward_parameters(g, sums, state, d.dgamma, d.dbeta); },
        [&] { cu::batch_norm_backward_parameters(g, sums, state, d.dgamma, d.dbeta); });
  }
  if (wanted.dx || (wanted.dresidual && g.relu)) {
    const Tensor dresidual = g.relu ? d.dresidual : Tensor();
    on_device(
        device, [&] { cpu::batch_norm_backward_apply(g, dy, x, gamma, state, sums, d.dx, dresidual); },
        [&] { cu::batch_norm_backward_apply(g, dy, x, gamma, state, sums, d.dx, dresidual); });
  }
  return d;
}

}  // namespace tern
