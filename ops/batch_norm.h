#pragma once
// Batch normalisation over the last axis, with the residual addition and the ReLU that usually follow it.
//
// x[N,H,W,C] or x[N,C], M = rows = numel / C; gamma beta running_mean running_var [C]; residual like x -> y
// like x. Per channel, with mean m and biased variance v over the M rows (training) or the running ones
// (evaluation):
//     s = 1 / sqrt(v + eps)        xhat = (x - m) s        z = gamma xhat + beta + residual
//     y = z, or max(z, 0) with .relu (a NaN stays NaN)
// Training also moves the running statistics, in place, with the unbiased variance:
//     running_mean <- (1 - momentum) running_mean + momentum m
//     running_var  <- (1 - momentum) running_var  + momentum v M / (M - 1)
// Backward, g = dy where z > 0 (everywhere without .relu):
//     dresidual = g      dbeta = sum g      dgamma = sum g xhat
//     dx = gamma s (g - dbeta / M - xhat dgamma / M)          (training; evaluation: dx = gamma s g)
// What is kept is x, the statistics and, with .relu, one bit per element: reading y back would cost a third
// of the backward traffic more, and with a residual the sign of z cannot be had from x.
//
// Cost: forward 2 passes over memory in training (statistics, apply), 1 in evaluation; backward 2 (reduce,
// apply). The statistics are sums of deviations from a value near the mean of each block of rows, merged in
// f64 over tiles that depend on the shape alone (Chan, Golub, LeVeque 1979): right for mean 1000 and
// deviation 1, and the same bits for any number of threads. Errors: ShapeError for sizes that do not fit and
// for fewer than two rows in training; DTypeError for mixed types; UsageError for evaluation without running
// statistics. Source: Ioffe, Szegedy, "Batch Normalization", ICML 2015; defaults and corner cases are
// PyTorch's.

#include "tern/core/autograd.h"
#include "tern/core/tensor.h"

namespace tern {

struct BatchNormOptions {
  double eps = 1e-5;
  double momentum = 0.1;  // weight of the batch in the running statistics
  bool training = true;   // normalise with the statistics of the batch, and update the running ones
  bool relu = false;      // y = max(z, 0)
};

// gamma and beta may be undefined (1 and 0), running statistics too while training, residual always.
Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                  const Tensor& running_var, BatchNormOptions options = {}, const Tensor& residual = {});

struct BatchNormGeometry {
  int64_t rows = 0;
  int64_t channels = 0;
  double eps = 0;
  bool training = true;
  bool relu = false;
};

// What the forward pass keeps for the backward pass.
struct BatchNormState {
  Tensor statistics;  // f64 [2,C]: mean and biased variance
  Tensor mask;        // i32 words, layout of the backend: bits of z > 0; undefined without .relu
};

struct BatchNormGradients {
  Tensor dx, dgamma, dbeta, dresidual;
};
struct BatchNormWanted {
  bool dx = true, parameters = true, dresidual = true;
};

// The fused backward pass; gradients that are not wanted stay undefined. Without .relu dresidual is dy
// itself.
BatchNormGradients batch_norm_backward(const BatchNormGeometry& geometry, const Tensor& dy, const Tensor& x,
                                       const Tensor& gamma, const BatchNormState& state,
                                       BatchNormWanted wanted = {});

// What a backend provides. Undefined tensors stand for "absent" as above.
namespace cpu {
int64_t batch_norm_mask_words(const BatchNormGeometry& g);
void batch_norm_statistics(const BatchNormGeometry& g, const Tensor& x, const Tensor& statistics);
void batch_norm_update_running(const BatchNormGeometry& g, const Tensor& statistics, double momentum,
                               const Tensor& running_mean, const Tensor& running_var);
void batch_norm_load_running(const Tensor& running_mean, const Tensor& running_var, const Tensor& statistics);
void batch_norm_apply(const BatchNormGeometry& g, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                      const Tensor& residual, const BatchNormState& state, const Tensor& y);
// sums: f64 [2,C], sum g and sum g (x - mean).
void batch_norm_backward_reduce(const BatchNormGeometry& g, const Tensor& dy, const Tensor& x,
                                const BatchNormState& state, const Tensor& sums);
void batch_norm_backward_parameters(const BatchNormGeometry& g, const Tensor& sums,
                                    const BatchNormState& state, const Tensor& dgamma, const Tensor& dbeta);
void batch_norm_backward_apply(const BatchNormGeometry& g, const Tensor& dy, const Tensor& x,
                               const Tensor& gamma, const BatchNormState& state, const Tensor& sums,
                               const Tensor& dx, const Tensor& dresidual);
}  // namespace cpu

namespace cu {
int64_t batch_norm_mask_words(const BatchNormGeometry& g);
void batch_norm_statistics(const BatchNormGeometry& g, const Tensor& x, const Tensor& statistics);
void batch_norm_update_running(const BatchNormGeometry& g, const Tensor& statistics, double momentum,
                               const Tensor& running_mean, const Tensor& running_var);
void batch_norm_load_running(const Tensor& running_mean, const Tensor& running_var, const Tensor& statistics);
void batch_norm_apply(const BatchNormGeometry& g, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                      const Tensor& residual, const BatchNormState& state, const Tensor& y);
void batch_norm_backward_reduce(const BatchNormGeometry& g, const Tensor& dy, const Tensor& x,
                                const BatchNormState& state, const Tensor& sums);
void batch_norm_backward_parameters(const BatchNormGeometry& g, const Tensor& sums,
                                    const BatchNormState& state, const Tensor& dgamma, const Tensor& dbeta);
void batch_norm_backward_apply(const BatchNormGeometry& g, const Tensor& dy, const Tensor& x,
                               const Tensor& gamma, const BatchNormState& state, const Tensor& sums,
                               const Tensor& dx, const Tensor& dresidual);
}  // namespace cu

}  // namespace tern
