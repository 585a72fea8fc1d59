// From term losses to one number. Tiles of kTile terms are summed by a block each, the tiles' sums by one
// block: the order depends on the number of terms alone.

#include "tern/ops/loss_terms.h"

#include "tern/cuda/block.cuh"

namespace tern::cu {
namespace {

constexpr int64_t kTile = 4096;

// parts[2 b], parts[2 b + 1]: sum and number above 0 of tile b.
__global__ void __launch_bounds__(kBlock) sum_tiles_kernel(const double* losses, int64_t n, double* parts) {
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kTile, end = begin + kTile < n ? begin + kTile : n;
  double sum = 0, above = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += kBlock) {
    sum += losses[i];
    above += losses[i] > 0 ? 1 : 0;
  }
  sum = block_sum<kBlock>(sum);
  above = block_sum<kBlock>(above);
  if (threadIdx.x != 0) return;
  parts[2 * blockIdx.x] = sum;
  parts[2 * blockIdx.x + 1] = above;
}

// count: null where it is the number of losses, or of those above 0.
__global__ void __launch_bounds__(kBlock)
    finish_reduction_kernel(const double* parts, int64_t tiles, int64_t n, Reduction reduction,
                            const double* count, float* loss, double* factor) {
  double sum = 0, above = 0;
  for (int64_t i = threadIdx.x; i < tiles; i += kBlock) {
    sum += parts[2 * i];
    above += parts[2 * i + 1];
  }
  sum = block_sum<kBlock>(sum);
  above = block_sum<kBlock>(above);
  if (threadIdx.x != 0) return;
  const double terms = count ? *count : reduction == Reduction::Mean ? static_cast<double>(n) : above;
  const double scale = reduction == Reduction::Sum ? 1 : terms > 0 ? 1 / terms : 0;
  *factor = scale;
  *loss = static_cast<float>(sum * scale);
}

__global__ void __launch_bounds__(kBlock)
    spread_kernel(const float* dy, const double* factor, int64_t n, double* scale) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step)
    scale[i] = static_cast<double>(*dy) * *factor;
}

}  // namespace

void reduce_terms(const Tensor& losses, Reduction reduction, const Tensor& count, const Tensor& loss,
                  const Tensor& factor) {
  const int64_t n = losses.numel(), tiles = (n + kTile - 1) / kTile;
  const Tensor parts = Tensor::empty({2 * tiles}, {DType::F64, losses.device()});
  launch("reduce_terms", sum_tiles_kernel, dim3(static_cast<unsigned>(tiles)), dim3(kBlock), 0,
         stream_of(losses), input<double>(losses), n, output<double>(parts));
  launch("reduce_terms", finish_reduction_kernel, dim3(1), dim3(kBlock), 0, stream_of(losses),
         input<double>(parts), tiles, n, reduction, count.defined() ? input<double>(count) : nullptr,
         output<float>(loss), output<double>(factor));
}

void spread_terms(const Tensor& dy, const Tensor& factor, const Tensor& scale) {
  launch("spread_terms", spread_kernel, blocks_for(scale.numel()), dim3(kBlock), 0, stream_of(dy),
         input<float>(dy), input<double>(factor), scale.numel(), output<double>(scale));
}

}  // namespace tern::cu
