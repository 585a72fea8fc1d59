// What batch normalisation does once a channel: running statistics and the gradients of the parameters. A
// thread a channel, in f64, with the bits of the CPU.

#include "tern/cuda/kernel.h"
#include "tern/ops/batch_norm.h"
#include "tern/ops/batch_norm_formulas.h"

namespace tern::cu {
namespace {

__global__ void __launch_bounds__(kBlock)
    update_running_kernel(const double* statistics, double momentum, double unbiased, float* mean,
                          float* variance, int64_t channels) {
  const int64_t c = static_cast<int64_t>(blockIdx.x) * kBlock + threadIdx.x;
  if (c >= channels) return;
  mean[c] = static_cast<float>((1 - momentum) * static_cast<double>(mean[c]) + momentum * statistics[c]);
  variance[c] = static_cast<float>((1 - momentum) * static_cast<double>(variance[c]) +
                                   momentum * unbiased * statistics[channels + c]);
}

__global__ void __launch_bounds__(kBlock)
    load_running_kernel(const float* mean, const float* variance, double* statistics, int64_t channels) {
  const int64_t c = static_cast<int64_t>(blockIdx.x) * kBlock + threadIdx.x;
  if (c >= channels) return;
  statistics[c] = static_cast<double>(mean[c]);
  statistics[channels + c] = static_cast<double>(variance[c]);
}

__global__ void __launch_bounds__(kBlock)
    parameter_gradients_kernel(const double* sums, const double* statistics, double eps, int64_t channels,
                               float* dgamma, float* dbeta, float* dslope) {
  const int64_t c = static_cast<int64_t>(blockIdx.x) * kBlock + threadIdx.x;
  if (c >= channels) return;
  const double inverse = BatchNormChannel::inverse_deviation(statistics[channels + c], eps);
  dgamma[c] = static_cast<float>(sums[channels + c] * inverse);
  dbeta[c] = static_cast<float>(sums[c]);
  if (dslope) dslope[c] = static_cast<float>(sums[2 * channels + c]);
}

dim3 grid_of_channels(int64_t channels) {
  return dim3(static_cast<unsigned>((channels + kBlock - 1) / kBlock));
}

}  // namespace

void batch_norm_update_running(const BatchNormGeometry& g, const Tensor& statistics, double momentum,
                               const Tensor& running_mean, const Tensor& running_var) {
  const double unbiased = static_cast<double>(g.rows) / static_cast<double>(g.rows - 1);
  launch("update_running", update_running_kernel, grid_of_channels(g.channels), dim3(kBlock), 0,
         stream_of(statistics), input<double>(statistics), momentum, unbiased, output<float>(running_mean),
         output<float>(running_var), g.channels);
}

void batch_norm_load_running(const Tensor& running_mean, const Tensor& running_var,
                             const Tensor& statistics) {
  launch("load_running", load_running_kernel, grid_of_channels(running_mean.numel()), dim3(kBlock), 0,
         stream_of(statistics), input<float>(running_mean), input<float>(running_var),
         output<double>(statistics), running_mean.numel());
}

void batch_norm_backward_parameters(const BatchNormGeometry& g, const Tensor& sums,
                                    const BatchNormState& state, const BatchNormGradients& d) {
  launch("parameter_gradients", parameter_gradients_kernel, grid_of_channels(g.channels), dim3(kBlock), 0,
         stream_of(sums), input<double>(sums), input<double>(state.statistics), g.eps, g.channels,
         output<float>(d.dgamma), output<float>(d.dbeta),
         d.dslope.defined() ? output<float>(d.dslope) : nullptr);
}

}  // namespace tern::cu
