// Distance-weighted mining: exact distances to all negatives, their weights summed in blocks of kWeightBlock
// as ops/weight_formulas.h says, and a draw for each positive. All of it has the bits of the CPU. A block
// takes anchors in turn and keeps one row of running sums.

#include "tern/cuda/triplet_batch.cuh"

namespace tern::cu {
namespace {

constexpr int64_t kMaxAnchors = 1024;  // in flight, each with a row of sums

// row: n log-weights, -infinity at what is no negative; becomes the sums inside each block of weights.
// before: those of the blocks before.
__device__ void sum_weights(const TripletBatch& b, int64_t a, double* row, double* before) {
  double largest = -__builtin_inf();
  for (int64_t j = threadIdx.x; j < b.n; j += kAnchorThreads) {
    row[j] = b.is_negative(a, j) ? log_weight(b.exact(a, j), b.d) : -__builtin_inf();
    largest = row[j] > largest ? row[j] : largest;
  }
  largest = block_maximum<kAnchorThreads>(largest, -__builtin_inf());
  __syncthreads();
  const int64_t blocks = (b.n + kWeightBlock - 1) / kWeightBlock;
  for (int64_t k = threadIdx.x; k < blocks; k += kAnchorThreads) {
    double inside = 0;
    for (int64_t j = k * kWeightBlock; j < (k + 1) * kWeightBlock && j < b.n; ++j) {
      inside += row[j] == -__builtin_inf() ? 0 : relative_weight(row[j], largest);
      row[j] = inside;
    }
    before[k] = inside;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    double sum = 0;
    for (int64_t k = 0; k < blocks; ++k) {
      const double inside = before[k];
      before[k] = sum;
      sum += inside;
    }
  }
  __syncthreads();
}

// The first j whose running sum is above at, or -1. All lanes of a warp.
__device__ int64_t draw(const TripletBatch& b, const double* row, const double* before, double at) {
  for (int64_t base = 0; base < b.n; base += kWarp) {
    const int64_t j = base + lane_of_thread();
    const unsigned above = __ballot_sync(kFullMask, j < b.n && before[j / kWeightBlock] + row[j] > at);
    if (above != 0) return base + __ffs(static_cast<int>(above)) - 1;
  }
  return -1;
}

__global__ void __launch_bounds__(kAnchorThreads, 1)
    mine_by_distance_kernel(TripletBatch b, TripletSlots slots, double* rows, double* befores) {
  const int lane = lane_of_thread();
  double* row = rows + blockIdx.x * b.n;
  double* before = befores + blockIdx.x * ((b.n + kWeightBlock - 1) / kWeightBlock);
  for (int64_t a = blockIdx.x; a < b.n; a += gridDim.x) {
    sum_weights(b, a, row, before);
    const double total = before[(b.n - 1) / kWeightBlock] + row[b.n - 1];
    for (int64_t base = threadIdx.x - lane; base < b.n; base += kAnchorThreads) {
      const int64_t j = base + lane;
      unsigned positives = __ballot_sync(kFullMask, j < b.n && b.finite() && b.is_positive(a, j));
      int32_t mine = -1;
      for (; positives != 0; positives &= positives - 1) {
        const int bit = __ffs(static_cast<int>(positives)) - 1;
        const uint32_t bits = b.bits(a, base + bit);
        const int64_t n = draw(b, row, before, static_cast<double>(uniform01(bits)) * total);
        if (lane == bit) mine = static_cast<int32_t>(n);
      }
      if (j >= b.n) continue;
      int32_t* slot = slots.at + (a * b.n + j) * 2;
      slot[0] = static_cast<int32_t>(j);
      slot[1] = mine;
    }
    __syncthreads();
  }
}

}  // namespace

void mine_by_distance(Device device, const TripletBatch& batch, const TripletSlots& slots) {
  const int64_t anchors = batch.n < kMaxAnchors ? batch.n : kMaxAnchors;
  const Tensor rows = Tensor::empty({anchors, batch.n}, {DType::F64, device});
  const Tensor before =
      Tensor::empty({anchors, (batch.n + kWeightBlock - 1) / kWeightBlock}, {DType::F64, device});
  launch("mine_by_distance", mine_by_distance_kernel, dim3(static_cast<unsigned>(anchors)),
         dim3(kAnchorThreads), 0, runtime(device).compute_stream(), batch, slots, output<double>(rows),
         output<double>(before));
}

}  // namespace tern::cu
