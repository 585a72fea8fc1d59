#pragma once
// Instance normalisation: each channel of each image by its own mean and deviation, so that the contrast and
// the colour cast of a photo leave no trace.
//
// x[N,H,W,C], M = H W; gamma beta [C] -> y like x. Per image and channel, with mean m and biased variance v
// over the M positions:
//     s = 1 / sqrt(v + eps)        xhat = (x - m) s        y = gamma xhat + beta
// Backward, S the sum over the positions of the image:
//     dx = gamma s (dy - S dy / M - xhat S dy xhat / M)
//     dbeta = sum over images of S dy        dgamma = sum over images of S dy xhat
// Nothing depends on other images: training and evaluation are the same, and there are no running statistics.
// With one position (M = 1) xhat is 0: y is beta and dx is 0, where PyTorch refuses to train. Images without
// positions, no images and no channels give an empty y and parameter gradients of 0.
//
// x and y are f32, bf16 or f64; gamma, beta and their gradients f32 (f64 where x is f64); statistics and sums
// f64. What is kept is x and the statistics. Cost: 2 passes over x forward, 2 over x and dy backward. Errors:
// ShapeError for sizes that do not fit, DTypeError for types that do not go together, DeviceError for
// tensors on two devices, UsageError for a negative eps. Source: Ulyanov, Vedaldi, Lempitsky, "Instance
// Normalization: The Missing Ingredient for Fast Stylization", 2016; defaults are PyTorch's.

#include "tern/core/tensor.h"

namespace tern {

struct InstanceNormOptions {
  double eps = 1e-5;
};

// gamma (1 where undefined) and beta (0) may be given independently.
Tensor instance_norm(const Tensor& x, const Tensor& gamma = {}, const Tensor& beta = {},
                     InstanceNormOptions options = {});

struct InstanceNormGeometry {
  int64_t images = 0, positions = 0, channels = 0;
  double eps = 0;
};

struct InstanceNormGradients {
  Tensor dx, dgamma, dbeta;
};
struct InstanceNormWanted {
  bool dx = true, parameters = true;
};

// Gradients that are not wanted stay undefined. statistics: f64 [N,2,C], mean and biased variance. dx takes
// the place of dy where nobody else holds it.
InstanceNormGradients instance_norm_backward(const InstanceNormGeometry& geometry, const Tensor& dy,
                                             const Tensor& x, const Tensor& gamma, const Tensor& statistics,
                                             InstanceNormWanted wanted = {});

// What a backend provides; gamma, beta and dx may be undefined, dx may be dy. No size is 0.
// sums: f64 [N,2,C], S dy and S dy (x - m).
namespace cpu {
void instance_norm_forward(const InstanceNormGeometry& g, const Tensor& x, const Tensor& gamma,
                           const Tensor& beta, const Tensor& statistics, const Tensor& y);
void instance_norm_backward(const InstanceNormGeometry& g, const Tensor& dy, const Tensor& x,
                            const Tensor& gamma, const Tensor& statistics, const Tensor& sums,
                            const Tensor& dx);
void instance_norm_backward_parameters(const InstanceNormGeometry& g, const Tensor& statistics,
                                       const Tensor& sums, const Tensor& dgamma, const Tensor& dbeta);
}  // namespace cpu

namespace cu {
void instance_norm_forward(const InstanceNormGeometry& g, const Tensor& x, const Tensor& gamma,
                           const Tensor& beta, const Tensor& statistics, const Tensor& y);
void instance_norm_backward(const InstanceNormGeometry& g, const Tensor& dy, const Tensor& x,
                            const Tensor& gamma, const Tensor& statistics, const Tensor& sums,
                            const Tensor& dx);
void instance_norm_backward_parameters(const InstanceNormGeometry& g, const Tensor& statistics,
                                       const Tensor& sums, const Tensor& dgamma, const Tensor& dbeta);
}  // namespace cu

}  // namespace tern
