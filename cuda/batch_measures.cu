#include "tern/cuda/batch_measures.cuh"

#include "tern/cuda/block.cuh"
#include "tern/cuda/exact_distance.cuh"

namespace tern::cu {
namespace {

// Columns of u to a block: a warp reads kWarp neighbours.
__global__ void __launch_bounds__(kBlock)
    column_means_kernel(const float* u, int64_t n, int64_t d, double* means) {
  constexpr int kGroups = kBlock / kWarp;
  __shared__ double part[kGroups][kWarp];
  const int lane = lane_of_thread(), group = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t k = static_cast<int64_t>(blockIdx.x) * kWarp + lane;
  double sum = 0;
  for (int64_t i = group; i < n && k < d; i += kGroups) sum += static_cast<double>(u[i * d + k]);
  part[group][lane] = sum;
  __syncthreads();
  if (group != 0 || k >= d) return;
  sum = 0;
  for (int g = 0; g < kGroups; ++g) sum += part[g][lane];
  means[k] = sum / static_cast<double>(n);
}

__global__ void __launch_bounds__(kBlock)
    squares_to_mean_kernel(const float* u, int64_t n, int64_t d, const double* means, double* records) {
  const int64_t i = row_of_warp();
  if (i >= n) return;
  double sum = 0;
  for (int64_t k = lane_of_thread(); k < d; k += kWarp) {
    const double z = static_cast<double>(u[i * d + k]) - means[k];
    sum += z * z;
  }
  sum = warp_sum(sum);
  if (lane_of_thread() == 0) records[i * kMeasures + kSquares] = sum;
}

// A block sums one column; of the columns that number pairs it also writes where each row's pairs begin:
// first[2][n + 1].
__global__ void __launch_bounds__(kBlock)
    sum_records_kernel(const double* records, int64_t n, double* values, int64_t* first) {
  __shared__ double part[kBlock];
  const int column = static_cast<int>(blockIdx.x), tid = static_cast<int>(threadIdx.x);
  const int64_t each = (n + kBlock - 1) / kBlock;
  const int64_t begin = tid * each < n ? tid * each : n, end = begin + each < n ? begin + each : n;
  double sum = 0;
  for (int64_t i = begin; i < end; ++i) sum += records[i * kMeasures + column];
  part[tid] = sum;
  __syncthreads();
  double before = 0;
  for (int t = 0; t < tid; ++t) before += part[t];
  if (tid == kBlock - 1) values[column] = before + sum;
  if (column != kPositivePairs && column != kNegativePairs) return;
  int64_t* to = first + (column == kPositivePairs ? 0 : n + 1);
  int64_t at = static_cast<int64_t>(before);
  for (int64_t i = begin; i < end; ++i) {
    to[i] = at;
    at += static_cast<int64_t>(records[i * kMeasures + column]);
  }
  if (tid == kBlock - 1) to[n] = at;
}

// The other end of the row's pair number k: the last j of the k + 1 first that qualify.
__device__ int64_t find_pair(const BatchRecords& b, int64_t row, bool positive, int64_t k) {
  if (b.pairs == PairsOf::Slots) {
    const int32_t* slot = b.slots + row * b.per_row * 2;
    for (;; slot += 2)
      if (slot[1] >= 0 && k-- == 0) return slot[positive ? 0 : 1];
  }
  int64_t j = b.pairs == PairsOf::Later ? row + 1 : 0;
  for (;; ++j)
    if (j != row && (b.labels[j] == b.labels[row]) == positive && k-- == 0) return j;
}

// Thread t of block row 0: positive pair number t stride, of block row 1: negative pair.
__global__ void __launch_bounds__(kBlock)
    sample_pairs_kernel(BatchRecords b, const int64_t* first, int64_t samples, double* d_ap, double* d_an) {
  const bool positive = blockIdx.y == 0;
  const int64_t t = static_cast<int64_t>(blockIdx.x) * kBlock + threadIdx.x;
  if (t >= samples) return;
  if (!positive) first += b.n + 1;
  const int64_t total = first[b.n], limit = TripletStats::kQuantileSamples;
  const int64_t stride = total > limit ? (total + limit - 1) / limit : 1, pair = t * stride;
  double value = __builtin_nan("");
  if (pair < total) {
    int64_t row = 0, end = b.n;  // the last row that begins at or before the pair
    while (end - row > 1) {
      const int64_t middle = (row + end) / 2;
      if (first[middle] <= pair) row = middle;
      else end = middle;
    }
    const int64_t j = find_pair(b, row, positive, pair - first[row]);
    value = distance_of(exact_squared(b.u + row * b.d, b.u + j * b.d, b.d), b.distance);
  }
  (positive ? d_ap : d_an)[t] = value;
}

}  // namespace

BatchMeasures gather_measures(Device device, const BatchRecords& b) {
  const cudaStream_t stream = runtime(device).compute_stream();
  const int64_t limit = TripletStats::kQuantileSamples, samples = b.n * b.n < limit ? b.n * b.n : limit;
  BatchMeasures measures;
  measures.n = b.n;
  measures.values = Tensor::empty({kMeasures}, {DType::F64, device});
  measures.d_ap = Tensor::empty({samples}, {DType::F64, device});
  measures.d_an = Tensor::empty({samples}, {DType::F64, device});
  const Tensor means = Tensor::empty({b.d}, {DType::F64, device});
  const Tensor first = Tensor::empty({2 * (b.n + 1)}, {DType::I64, device});
  launch("column_means", column_means_kernel,
         dim3(static_cast<unsigned>(b.n > 0 ? (b.d + kWarp - 1) / kWarp : 0)), dim3(kBlock), 0, stream, b.u,
         b.n, b.d, output<double>(means));
  launch("squares_to_mean", squares_to_mean_kernel, blocks_for_rows(b.n), dim3(kBlock), 0, stream, b.u, b.n,
         b.d, input<double>(means), b.records);
  launch("sum_records", sum_records_kernel, dim3(kMeasures), dim3(kBlock), 0, stream, b.records, b.n,
         output<double>(measures.values), output<int64_t>(first));
  launch("sample_pairs", sample_pairs_kernel, dim3(static_cast<unsigned>((samples + kBlock - 1) / kBlock), 2),
         dim3(kBlock), 0, stream, b, input<int64_t>(first), samples, output<double>(measures.d_ap),
         output<double>(measures.d_an));
  return measures;
}

}  // namespace tern::cu
