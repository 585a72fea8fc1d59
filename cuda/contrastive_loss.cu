// The contrastive loss. The pair form gives a pair to each warp. The batch form sums the distances of all
// pairs directly in f64, coordinates ascending, so that losses, slopes and gradients have the bits of the
// CPU's.

#include "tern/ops/contrastive_loss.h"

#include "tern/cuda/batch_measures.cuh"
#include "tern/cuda/block.cuh"
#include "tern/cuda/exact_distance.cuh"
#include "tern/cuda/weighted_differences.cuh"
#include "tern/ops/contrastive_formulas.h"

namespace tern::cu {
namespace {

// ---- given pairs ----

// A thread's pair: one flag byte or one i64. A value other than 0 and 1 makes the loss NaN.
template <class Flag>
__global__ void __launch_bounds__(kBlock)
    contrastive_forward_kernel(const float* a, const float* b, const Flag* same, int64_t n, int64_t d,
                               HadsellPair pair, double* losses, double* slopes) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kBlock + threadIdx.x;
  if (i >= n) return;
  const double distance = math::sqrt(exact_squared(a + i * d, b + i * d, d));
  const bool flag = same[i] == Flag(1), known = flag || same[i] == Flag(0);
  losses[i] = known ? pair.value(distance, flag) : __builtin_nan("");
  slopes[i] = known ? pair.slope(distance, flag) : __builtin_nan("");
}

__global__ void __launch_bounds__(kBlock)
    contrastive_backward_kernel(const double* scale, const double* slopes, const float* a, const float* b,
                                int64_t n, int64_t d, float* da, float* db) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t t = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; t < n * d; t += step) {
    const double weight = scale[t / d] * slopes[t / d];
    const auto gradient =
        static_cast<float>(weight * (static_cast<double>(a[t]) - static_cast<double>(b[t])));
    da[t] = gradient;
    db[t] = -gradient;
  }
}

// ---- all pairs of a batch ----

struct PairTile {
  static constexpr int kSide = 16, kDepth = 32;
  static_assert(kSide * kSide == kBlock);
};

// distances[pair_index(i, j)] = |e_i - e_j| of the pairs i < j in a tile.
__global__ void __launch_bounds__(kBlock)
    pair_distances_kernel(const float* e, int64_t n, int64_t d, double* distances) {
  using Tile = PairTile;
  __shared__ float rows[2][Tile::kSide][Tile::kDepth + 1];
  if (blockIdx.x < blockIdx.y) return;
  const int tid = static_cast<int>(threadIdx.x), r = tid / Tile::kSide, c = tid % Tile::kSide;
  const int64_t first[2] = {static_cast<int64_t>(blockIdx.y) * Tile::kSide,
                            static_cast<int64_t>(blockIdx.x) * Tile::kSide};
  double sum = 0;
  for (int64_t k0 = 0; k0 < d; k0 += Tile::kDepth) {
    __syncthreads();
#pragma unroll
    for (int side = 0; side < 2; ++side)
      for (int t = tid; t < Tile::kSide * Tile::kDepth; t += kBlock) {
        const int64_t row = first[side] + t / Tile::kDepth, k = k0 + t % Tile::kDepth;
        rows[side][t / Tile::kDepth][t % Tile::kDepth] = row < n && k < d ? e[row * d + k] : 0.0f;
      }
    __syncthreads();
#pragma unroll 8
    for (int k = 0; k < Tile::kDepth; ++k) {  // the zeros past d add nothing
      const double z = static_cast<double>(rows[0][r][k]) - static_cast<double>(rows[1][c][k]);
      sum += rounded_product(z, z);
    }
  }
  const int64_t i = first[0] + r, j = first[1] + c;
  if (i < j && j < n)
    distances[pair_index(i, j, n)] = math::sqrt(sum > 1.7976931348623157e308 ? 1.7976931348623157e308 : sum);
}

// A block has the pairs (i, j), j > i, of its row i. losses holds their distances before.
__global__ void __launch_bounds__(kBlock) pair_rows_kernel(const int64_t* labels, int64_t n, HadsellPair pair,
                                                           double* losses, double* slopes, double* records) {
  const int64_t i = blockIdx.x, first = pair_index(i, i + 1, n), count = n - 1 - i;
  double counts[3] = {0, 0, 0},
         sums[2] = {0, 0};  // same, active, near; distances of different pairs, of equal ones
  for (int64_t k = threadIdx.x; k < count; k += kBlock) {
    const double distance = losses[first + k];
    const bool same = labels[i + 1 + k] == labels[i];
    const double loss = pair.value(distance, same);
    losses[first + k] = loss;
    slopes[first + k] = pair.slope(distance, same);
    counts[0] += same ? 1 : 0;
    counts[1] += loss > 0 ? 1 : 0;
    counts[2] += !same && distance < pair.margin ? 1 : 0;
    sums[0] += same ? 0 : distance;
    sums[1] += same ? distance : 0;
  }
#pragma unroll
  for (int c = 0; c < 3; ++c) counts[c] = block_sum<kBlock>(counts[c]);
#pragma unroll
  for (int c = 0; c < 2; ++c) sums[c] = block_sum<kBlock>(sums[c]);
  if (threadIdx.x != 0) return;
  double* record = records + i * kMeasures;
  record[kValid] = record[kTerms] = static_cast<double>(count);
  record[kActive] = counts[1];
  record[kHard] = 0;
  record[kSemiHard] = counts[2];
  record[kPositivePairs] = counts[0];
  record[kNegativePairs] = static_cast<double>(count) - counts[0];
  record[kPositiveSum] = sums[1];
  record[kNegativeSum] = sums[0];
}

struct PairWeights {
  using Value = double;
  const double *scale, *slopes;
  int64_t n;
  __device__ double operator()(int64_t i, int64_t j) const {
    if (i == j) return 0;
    const int64_t at = i < j ? pair_index(i, j, n) : pair_index(j, i, n);
    return scale[at] * slopes[at];
  }
};

template <class Flag>
void launch_pairs(const Tensor& a, const Tensor& b, const Flag* same, const ContrastiveOptions& options,
                  const Tensor& losses, const Tensor& slopes) {
  const int64_t n = a.size(0);
  launch("contrastive_loss", contrastive_forward_kernel<Flag>,
         dim3(static_cast<unsigned>((n + kBlock - 1) / kBlock)), dim3(kBlock), 0, stream_of(a),
         input<float>(a), input<float>(b), same, n, a.size(1), HadsellPair{options.margin},
         output<double>(losses), output<double>(slopes));
}

}  // namespace

void contrastive_forward(const Tensor& a, const Tensor& b, const Tensor& same,
                         const ContrastiveOptions& options, const Tensor& losses, const Tensor& slopes) {
  check_f32("contrastive_loss", a);
  if (same.dtype() == DType::I64) return launch_pairs(a, b, input<int64_t>(same), options, losses, slopes);
  launch_pairs(a, b, input<uint8_t>(same), options, losses, slopes);
}

void contrastive_backward(const Tensor& scale, const Tensor& slopes, const Tensor& a, const Tensor& b,
                          const Tensor& da, const Tensor& db) {
  launch("contrastive_loss backward", contrastive_backward_kernel, blocks_for(a.numel()), dim3(kBlock), 0,
         stream_of(a), input<double>(scale), input<double>(slopes), input<float>(a), input<float>(b),
         a.size(0), a.size(1), output<float>(da), output<float>(db));
}

BatchMeasures batch_contrastive_forward(const Tensor& e, const Tensor& labels,
                                        const ContrastiveOptions& options, const Tensor& losses,
                                        const Tensor& slopes) {
  check_f32("batch_contrastive_loss", e);
  const int64_t n = e.size(0), d = e.size(1);
  const auto tiles = static_cast<unsigned>((n + PairTile::kSide - 1) / PairTile::kSide);
  launch("batch_contrastive_loss distances", pair_distances_kernel, dim3(tiles, tiles), dim3(kBlock), 0,
         stream_of(e), input<float>(e), n, d, output<double>(losses));
  const Tensor records = Tensor::empty({n, kMeasures}, {DType::F64, e.device()});
  launch("batch_contrastive_loss", pair_rows_kernel, dim3(static_cast<unsigned>(n)), dim3(kBlock), 0,
         stream_of(e), input<int64_t>(labels), n, HadsellPair{options.margin}, output<double>(losses),
         output<double>(slopes), output<double>(records));
  return gather_measures(e.device(), {.u = input<float>(e),
                                      .labels = input<int64_t>(labels),
                                      .n = n,
                                      .d = d,
                                      .distance = Distance::Euclidean,
                                      .pairs = PairsOf::Later,
                                      .slots = nullptr,
                                      .per_row = 0,
                                      .records = output<double>(records)});
}

void batch_contrastive_backward(const Tensor& scale, const Tensor& slopes, const Tensor& e,
                                const Tensor& de) {
  const int64_t n = e.size(0);
  weighted_differences("batch_contrastive_loss backward", stream_of(e),
                       PairWeights{input<double>(scale), input<double>(slopes), n}, input<float>(e),
                       input<float>(e), n, n, e.size(1), output<float>(de));
}

}  // namespace tern::cu
