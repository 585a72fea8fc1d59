#pragma once
// Batch normalisation over the last axis, with the residual addition and the activation that usually follow.
//
// x[N,H,W,C] or x[N,C], M = rows = numel / C; gamma beta running_mean running_var slope [C]; residual like x
// -> y like x. Per channel, with mean m and biased variance v over the M rows (training) or the running ones
// (evaluation):
//     s = 1 / sqrt(v + eps)        xhat = (x - m) s        z = gamma xhat + beta + residual
//     y = act(z): z; max(z, 0) with .relu; z where z > 0, else slope z, with a slope (PReLU). NaN stays NaN
// Training also moves the running statistics, in place, with the unbiased variance:
//     running_mean <- (1 - momentum) running_mean + momentum m
//     running_var  <- (1 - momentum) running_var  + momentum v M / (M - 1)
// Backward, g = dy act'(z):
//     dresidual = g      dbeta = sum g      dgamma = sum g xhat      dslope = sum of dy z where z <= 0
//     dx = gamma s (g - dbeta / M - xhat dgamma / M)          (training; evaluation: dx = gamma s g)
// What is kept is x and the statistics: the sign of z is computed again from them, with the same bits. Where
// a residual was added that cannot be: ReLU then keeps one bit per element, PReLU the residual.
// Under RecomputeGuard y is not kept for the operations that read it, but computed again in their backward
// pass, unless a residual was added.
//
// x, residual, y and their gradients are f32, bf16 or f64; the rest is f32 (f64 where x is f64).
// Cost: forward 2 passes over memory in training (statistics, apply), 1 in evaluation or where the statistics
// are given; backward 2 (reduce, apply). The statistics are sums of deviations from a value near the mean of
// each block of rows, merged in f64 over tiles that depend on the shape alone (Chan, Golub, LeVeque 1979):
// right for mean 1000 and deviation 1, and the same bits for any number of threads. Errors: ShapeError for
// sizes that do not fit and for fewer than two rows in training; DTypeError for types that do not go
// together; UsageError for evaluation without running statistics and for two activations. Sources: Ioffe,
// Szegedy, "Batch Normalization", ICML 2015; He et al., "Delving deep into rectifiers", ICCV 2015 (PReLU);
// defaults and corner cases are PyTorch's.

#include "tern/core/autograd.h"
#include "tern/core/tensor.h"
#include "tern/ops/activation.h"

namespace tern {

struct BatchNormOptions {
  double eps = 1e-5;
  double momentum = 0.1;  // weight of the batch in the running statistics
  bool training = true;   // normalise with the statistics of the batch, and update the running ones
  bool relu = false;      // y = max(z, 0)
};

// All but x may be undefined: gamma 1, beta 0, no residual, no PReLU; running statistics only while training.
struct BatchNormTensors {
  Tensor x;
  Tensor gamma = {}, beta = {}, running_mean = {}, running_var = {};
  Tensor residual = {}, slope = {};
  Tensor statistics = {};  // training: f64 [2,C], mean and biased variance of x, where somebody has them
};

Tensor batch_norm(const BatchNormTensors& tensors, BatchNormOptions options = {});
Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                  const Tensor& running_var, BatchNormOptions options = {}, const Tensor& residual = {});

struct BatchNormGeometry {
  int64_t rows = 0;
  int64_t channels = 0;
  double eps = 0;
  bool training = true;
  Activation activation = Activation::None;
};

// What the passes read. For the backward pass beta, residual and slope are there where z is computed again.
struct BatchNormInputs {
  Tensor x;
  Tensor gamma = {}, beta = {}, residual = {}, slope = {};
};

// What the forward pass keeps for the backward pass.
struct BatchNormState {
  Tensor statistics;  // f64 [2,C]: mean and biased variance
  Tensor mask;        // i32 words, layout of the backend: bits of z > 0; only for ReLU after a residual
};

struct BatchNormGradients {
  Tensor dx, dgamma, dbeta, dresidual, dslope;
};
struct BatchNormWanted {
  bool dx = true, parameters = true, dresidual = true;
};

// The fused backward pass; gradients that are not wanted stay undefined. Without an activation dresidual is
// dy itself. dx takes the place of dy where nobody else holds it.
BatchNormGradients batch_norm_backward(const BatchNormGeometry& geometry, const Tensor& dy,
                                       const BatchNormInputs& in, const BatchNormState& state,
                                       BatchNormWanted wanted = {});

// What a backend provides. Undefined tensors stand for "absent" as above; dx may be dy.
// sums: f64 [3,C], sum g, sum g (x - mean), and for PReLU sum of dy z where z <= 0.
namespace cpu {
int64_t batch_norm_mask_words(const BatchNormGeometry& g);
void batch_norm_statistics(const BatchNormGeometry& g, const Tensor& x, const Tensor& statistics);
void batch_norm_update_running(const BatchNormGeometry& g, const Tensor& statistics, double momentum,
                               const Tensor& running_mean, const Tensor& running_var);
void batch_norm_load_running(const Tensor& running_mean, const Tensor& running_var, const Tensor& statistics);
void batch_norm_apply(const BatchNormGeometry& g, const BatchNormInputs& in, const BatchNormState& state,
                      const Tensor& y);
void batch_norm_backward_reduce(const BatchNormGeometry& g, const Tensor& dy, const BatchNormInputs& in,
                                const BatchNormState& state, const Tensor& sums);
void batch_norm_backward_parameters(const BatchNormGeometry& g, const Tensor& sums,
                                    const BatchNormState& state, const BatchNormGradients& d);
void batch_norm_backward_apply(const BatchNormGeometry& g, const Tensor& dy, const BatchNormInputs& in,
                               const BatchNormState& state, const Tensor& sums, const Tensor& dx,
                               const Tensor& dresidual);
}  // namespace cpu

namespace cu {
int64_t batch_norm_mask_words(const BatchNormGeometry& g);
void batch_norm_statistics(const BatchNormGeometry& g, const Tensor& x, const Tensor& statistics);
void batch_norm_update_running(const BatchNormGeometry& g, const Tensor& statistics, double momentum,
                               const Tensor& running_mean, const Tensor& running_var);
void batch_norm_load_running(const Tensor& running_mean, const Tensor& running_var, const Tensor& statistics);
void batch_norm_apply(const BatchNormGeometry& g, const BatchNormInputs& in, const BatchNormState& state,
                      const Tensor& y);
void batch_norm_backward_reduce(const BatchNormGeometry& g, const Tensor& dy, const BatchNormInputs& in,
                                const BatchNormState& state, const Tensor& sums);
void batch_norm_backward_parameters(const BatchNormGeometry& g, const Tensor& sums,
                                    const BatchNormState& state, const BatchNormGradients& d);
void batch_norm_backward_apply(const BatchNormGeometry& g, const Tensor& dy, const BatchNormInputs& in,
                               const BatchNormState& state, const Tensor& sums, const Tensor& dx,
                               const Tensor& dresidual);
}  // namespace cu

}  // namespace tern
