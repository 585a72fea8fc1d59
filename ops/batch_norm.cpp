#include "tern/ops/batch_norm.h"

#include <array>

namespace tern {
namespace {

// Of parameters and their gradients.
DType parameter_type(const Tensor& x) { return x.dtype() == DType::F64 ? DType::F64 : DType::F32; }

void check_channels(const Tensor& t, const char* what, const Tensor& x) {
  if (!t.defined()) return;
  check<ShapeError>(t.shape() == Shape{x.size(-1)}, "batch_norm: ", what, " must be [", x.size(-1), "], got ",
                    describe(t), " (input ", describe(x), ")");
  check<DTypeError>(t.dtype() == parameter_type(x), "batch_norm: ", what, " is ", t.dtype(), ", input is ",
                    x.dtype(), "; ", what, " must be ", parameter_type(x));
  check<DeviceError>(t.device() == x.device(), "batch_norm: ", what, " is on ", t.device(), ", input on ",
                     x.device());
}

void check_tensors(const BatchNormTensors& t, const BatchNormOptions& options) {
  check<UsageError>(t.x.defined(), "batch_norm: input is undefined");
  check<ShapeError>(t.x.rank() >= 2, "batch_norm: input must be [N,H,W,C] or [N,C], got ", t.x.shape());
  check<DTypeError>(is_floating(t.x.dtype()), "batch_norm: input must be f32, bf16 or f64, got ",
                    t.x.dtype());
  check_channels(t.gamma, "gamma", t.x);
  check_channels(t.beta, "beta", t.x);
  check_channels(t.running_mean, "running_mean", t.x);
  check_channels(t.running_var, "running_var", t.x);
  check_channels(t.slope, "slope", t.x);
  check<UsageError>(
      t.running_mean.defined() == t.running_var.defined() && (options.training || t.running_mean.defined()),
      "batch_norm: running_mean and running_var must be given together, and in evaluation always");
  check<UsageError>(!(options.relu && t.slope.defined()), "batch_norm: both .relu and a slope are given");
  if (t.statistics.defined())
    check<ShapeError>(t.statistics.shape() == Shape{2, t.x.size(-1)}, "batch_norm: statistics must be [2,",
                      t.x.size(-1), "], got ", t.statistics.shape());
  if (!t.residual.defined()) return;
  check<ShapeError>(t.residual.shape() == t.x.shape(), "batch_norm: residual ", t.residual.shape(),
                    " must have the shape of the input ", t.x.shape());
  check<DTypeError>(t.residual.dtype() == t.x.dtype(), "batch_norm: residual is ", t.residual.dtype(),
                    ", input is ", t.x.dtype());
  check<DeviceError>(t.residual.device() == t.x.device(), "batch_norm: residual is on ", t.residual.device(),
                     ", input on ", t.x.device());
}

BatchNormGeometry make_geometry(const BatchNormTensors& t, const BatchNormOptions& options) {
  check<UsageError>(options.eps >= 0 && options.momentum >= 0 && options.momentum <= 1,
                    "batch_norm: eps must be at least 0 and momentum in [0,1], got ", options.eps, " and ",
                    options.momentum);
  BatchNormGeometry g{.channels = t.x.size(-1), .eps = options.eps, .training = options.training};
  if (options.relu) g.activation = Activation::Relu;
  if (t.slope.defined()) g.activation = Activation::Prelu;
  g.rows = g.channels == 0 ? 0 : t.x.numel() / g.channels;
  check<ShapeError>(!g.training || g.rows >= 2,
                    "batch_norm: training needs more than one value per channel, input ", t.x.shape(),
                    " has ", g.rows, "; hint: a larger batch, or evaluation mode");
  return g;
}

// Mean and variance to normalise with: of the batch, or the running ones.
Tensor statistics_for(const BatchNormGeometry& g, const BatchNormTensors& t) {
  if (g.training && t.statistics.defined()) return t.statistics;
  const Device device = t.x.device();
  Tensor statistics = Tensor::empty({2, g.channels}, {DType::F64, device});
  if (g.training) {
    on_device(
        device, [&] { cpu::batch_norm_statistics(g, t.x, statistics); },
        [&] { cu::batch_norm_statistics(g, t.x, statistics); });
  } else {
    on_device(
        device, [&] { cpu::batch_norm_load_running(t.running_mean, t.running_var, statistics); },
        [&] { cu::batch_norm_load_running(t.running_mean, t.running_var, statistics); });
  }
  return statistics;
}

Tensor make_mask(const BatchNormGeometry& g, Device device) {
  const int64_t words = on_device(
      device, [&] { return cpu::batch_norm_mask_words(g); }, [&] { return cu::batch_norm_mask_words(g); });
  return Tensor::empty({words}, {DType::I32, device});
}

void update_running(const BatchNormGeometry& g, const BatchNormTensors& t, const Tensor& statistics,
                    double momentum) {
  on_device(
      t.x.device(),
      [&] { cpu::batch_norm_update_running(g, statistics, momentum, t.running_mean, t.running_var); },
      [&] { cu::batch_norm_update_running(g, statistics, momentum, t.running_mean, t.running_var); });
}

void apply(const BatchNormGeometry& g, const BatchNormInputs& in, const BatchNormState& state,
           const Tensor& y) {
  on_device(
      y.device(), [&] { cpu::batch_norm_apply(g, in, state, y); },
      [&] { cu::batch_norm_apply(g, in, state, y); });
}

struct BatchNormNode final : OpNode<BatchNormNode> {
  static constexpr std::string_view kName = "batch_norm";
  enum Input { kX, kGamma, kBeta, kResidual, kSlope };

  Gradients backward(const Gradients& dy) override {
    const auto kept = [this](const Saved& s) { return s.defined() ? s.get(*this) : Tensor(); };
    auto d = batch_norm_backward(geometry, dy[0],
                                 {kept(x), kept(gamma), kept(beta), kept(residual), kept(slope)}, state,
                                 {.dx = needs(kX),
                                  .parameters = needs(kGamma) || needs(kBeta) || needs(kSlope),
                                  .dresidual = needs(kResidual)});
    const auto wanted = [this](Input i, const Tensor& t) { return needs(i) ? t : Tensor(); };
    return {d.dx, wanted(kGamma, d.dgamma), wanted(kBeta, d.dbeta), d.dresidual, wanted(kSlope, d.dslope)};
  }

  bool rebuilds() const override { return !had_residual; }
  Tensor rebuild() const override {
    const Tensor& in = x.get(*this);
    const Tensor y = Tensor::empty(in.shape(), in.options());
    apply(geometry, {in, gamma.get(*this), beta.get(*this), {}, slope.get(*this)}, state, y);
    return y;
  }

  BatchNormGeometry geometry;
  Saved x, gamma, beta, residual, slope;
  BatchNormState state;
  bool had_residual = false;
};

}  // namespace

Tensor batch_norm(const BatchNormTensors& t, BatchNormOptions options) {
  check_tensors(t, options);
  const BatchNormGeometry g = make_geometry(t, options);
  const std::array inputs{std::cref(t.x), std::cref(t.gamma), std::cref(t.beta), std::cref(t.residual),
                          std::cref(t.slope)};
  BatchNormState state{.statistics = statistics_for(g, t)};
  const bool masked = g.activation == Activation::Relu && t.residual.defined();
  if (masked && detail::wants_gradient(inputs)) state.mask = make_mask(g, t.x.device());
  Tensor y = Tensor::empty(t.x.shape(), t.x.options());
  apply(g, {t.x, t.gamma, t.beta, t.residual, t.slope}, state, y);
  if (g.training && t.running_mean.defined()) update_running(g, t, state.statistics, options.momentum);
  return record<BatchNormNode>(y, inputs, [&](BatchNormNode& node) {
    node.geometry = g;
    node.x = t.x;
    node.gamma = t.gamma;
    node.state = state;
    node.had_residual = t.residual.defined();
    if (masked) return;
    node.beta = t.beta;
    node.slope = t.slope;
    if (g.activation == Activation::Prelu) node.residual = t.residual;
  });
}

Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                  const Tensor& running_var, BatchNormOptions options, const Tensor& residual) {
  return batch_norm({x, gamma, beta, running_mean, running_var, residual}, options);
}

BatchNormGradients batch_norm_backward(const BatchNormGeometry& g, const Tensor& dy,
                                       const BatchNormInputs& in, const BatchNormState& state,
                                       BatchNormWanted wanted) {
  const Device device = dy.device();
  const bool active = g.activation != Activation::None;
  BatchNormGradients d;
  const bool passes_dy = wanted.dresidual && !active;
  if (wanted.dx) d.dx = !passes_dy && sole_owner(dy) ? dy : Tensor::empty(dy.shape(), dy.options());
  if (wanted.dresidual) d.dresidual = passes_dy ? dy : Tensor::empty(dy.shape(), dy.options());

  Tensor sums;
  if (wanted.parameters || (wanted.dx && g.training)) {
    sums = Tensor::empty({3, g.channels}, {DType::F64, device});
    on_device(
        device, [&] { cpu::batch_norm_backward_reduce(g, dy, in, state, sums); },
        [&] { cu::batch_norm_backward_reduce(g, dy, in, state, sums); });
  }
  if (wanted.parameters) {
    for (Tensor* t : {&d.dgamma, &d.dbeta, &d.dslope})
      if (t != &d.dslope || g.activation == Activation::Prelu)
        *t = Tensor::empty({g.channels}, {parameter_type(dy), device});
    on_device(
        device, [&] { cpu::batch_norm_backward_parameters(g, sums, state, d); },
        [&] { cu::batch_norm_backward_parameters(g, sums, state, d); });
  }
  if (wanted.dx || (wanted.dresidual && active)) {
    const Tensor dresidual = active ? d.dresidual : Tensor();
    on_device(
        device, [&] { cpu::batch_norm_backward_apply(g, dy, in, state, sums, d.dx, dresidual); },
        [&] { cu::batch_norm_backward_apply(g, dy, in, state, sums, d.dx, dresidual); });
  }
  return d;
}

}  // namespace tern
