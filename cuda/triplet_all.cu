// BatchAll: every positive of an anchor meets every negative in its block, nothing is listed. Once more than
// the sums need: a warp to each positive over the negatives gives losses, counts and the positive's slope, a
// thread to each negative over the positives the negative's slope. That is cheaper than carrying sums between
// threads, and keeps every sum's order.

#include "tern/cuda/triplet_batch.cuh"

namespace tern::cu {
namespace {

constexpr int kAnchorWarps = kAnchorThreads / kWarp;

// The Gram matrix becomes distances; those of the anchor's own class carry a minus sign.
__global__ void __launch_bounds__(kBlock) signed_distances_kernel(TripletBatch b) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t t = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; t < b.n * b.n; t += step) {
    const int64_t i = t / b.n, j = t % b.n;
    const float d = gram_distance(b.gram[t], static_cast<float>(b.norms[i]), static_cast<float>(b.norms[j]),
                                  b.u + i * b.d, b.u + j * b.d, b.d, b.options.distance);
    b.gram[t] = math::with_sign(d, b.is_negative(i, j) ? 1.0f : -1.0f);
  }
}

__device__ __forceinline__ bool is_negative(float signed_distance) { return bits_of(signed_distance) >= 0; }

// Up to kAnchorThreads positives of an anchor, ascending.
struct PositiveTile {
  float d[kAnchorThreads];
  int32_t index[kAnchorThreads];
  int32_t count[kAnchorWarps];
};

// Of the samples first .. first + kAnchorThreads; returns how many. All threads of the block.
__device__ __forceinline__ int find_positives(const TripletBatch& b, int64_t a, int64_t first,
                                              PositiveTile& tile) {
  const int lane = lane_of_thread(), warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t j = first + threadIdx.x;
  const float d = j < b.n ? b.gram[a * b.n + j] : 0.0f;
  const bool positive = j < b.n && j != a && !is_negative(d);
  const unsigned found = __ballot_sync(kFullMask, positive);
  __syncthreads();  // the tile before has been read
  if (lane == 0) tile.count[warp] = __popc(found);
  __syncthreads();
  int before = __popc(found & ((1u << lane) - 1)), total = 0;
#pragma unroll
  for (int w = 0; w < kAnchorWarps; ++w) {
    before += w < warp ? tile.count[w] : 0;
    total += tile.count[w];
  }
  if (positive) {
    tile.d[before] = math::abs(d);
    tile.index[before] = static_cast<int32_t>(j);
  }
  __syncthreads();
  return total;
}

// Slopes become coefficients.
__global__ void __launch_bounds__(kBlock) scale_slopes_kernel(TripletBatch b, float* slopes) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t t = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; t < b.n * b.n; t += step)
    slopes[t] *= distance_slope(math::abs(b.gram[t]), b.options.distance);
}

// Of one thread; in shared memory, since few registers survive the division in log1p, which is a call.
struct Tally {
  double loss, sum_ap;
  int active, hard, semi_hard;
};

template <class Cost>
struct AllTriplets {
  const TripletBatch& b;
  const TripletResults& to;
  const Cost cost;
  const float margin;
  const int64_t a;
  const float* row;  // the anchor's signed distances

  // A warp's positive against all negatives.
  __device__ __forceinline__ void positive(float d_ap, Tally& counts) const {
    const int n = static_cast<int>(b.n);
    float loss = 0;
    int active = 0;
#pragma unroll 1  // the soft margin unrolled needs more registers than there are; alone in its loop for the
                  // same reason
    for (int k = lane_of_thread(); k < n; k += kWarp) {
      if (!is_negative(row[k])) continue;
      const float value = cost.value(d_ap - row[k]);
      loss += value;
      active += value > 0;
    }
    counts.loss += static_cast<double>(loss);
    counts.active += active;
    int hard = 0, semi_hard = 0;
#pragma unroll 1
    for (int k = lane_of_thread(); k < n; k += kWarp) {
      const float d_an = row[k];
      if (!is_negative(d_an)) continue;
      hard += d_an <= d_ap;
      semi_hard += d_an > d_ap && d_an < d_ap + margin;
    }
    counts.hard += hard;
    counts.semi_hard += semi_hard;
    if (lane_of_thread() == 0) counts.sum_ap += static_cast<double>(d_ap);
  }

  // Its slope.
  __device__ __forceinline__ void positive_slope(float d_ap, int64_t index) const {
    const int n = static_cast<int>(b.n);
    float slope = 0;
#pragma unroll 1
    for (int k = lane_of_thread(); k < n; k += kWarp)
      if (is_negative(row[k])) slope += cost.slope(d_ap - row[k]);
    slope = warp_sum(slope);
    if (lane_of_thread() == 0) to.coefficients[a * b.n + index] = slope;
  }

  // A thread's negative against the positives of a tile.
  __device__ __forceinline__ void negative(int64_t k, const PositiveTile& tile, int count, bool first) const {
    const float d_an = row[k];
    if (!is_negative(d_an)) return;
    float slope = 0;
#pragma unroll 1
    for (int i = 0; i < count; ++i) slope += cost.slope(tile.d[i] - d_an);
    float* to_k = to.coefficients + a * b.n + k;
    *to_k = first ? -slope : *to_k - slope;
  }
};

// A row without terms, or of a batch that is not finite.
__device__ __forceinline__ void fill_row(const TripletBatch& b, int64_t a, const TripletResults& to) {
  if (!to.coefficients) return;
  const float value = b.finite() ? 0.0f : __builtin_nanf("");
  for (int64_t k = threadIdx.x; k < b.n; k += kAnchorThreads) to.coefficients[a * b.n + k] = value;
}

template <class Cost>
__global__ void __launch_bounds__(kAnchorThreads)
    all_triplets_kernel(TripletBatch b, TripletResults to, Cost cost) {
  __shared__ PositiveTile tile;
  __shared__ Tally tallies[kAnchorThreads];
  const int64_t a = blockIdx.x;
  const AllTriplets<Cost> anchor{b, to, cost, static_cast<float>(b.options.margin), a, b.gram + a * b.n};
  int others = 0;
  for (int64_t k = threadIdx.x; k < b.n; k += kAnchorThreads) others += b.is_negative(a, k);
  others = block_sum<kAnchorThreads>(others);
  const bool has_terms = others > 0 && others < b.n - 1 && b.finite();
  if (!has_terms) fill_row(b, a, to);
  Tally& tally = tallies[threadIdx.x];
  tally = {0, 0, 0, 0, 0};
  for (int first = 0; first < b.n && has_terms; first += kAnchorThreads) {
    const int count = find_positives(b, a, first, tile);
    for (int i = static_cast<int>(threadIdx.x) / kWarp; i < count; i += kAnchorWarps)
      anchor.positive(tile.d[i], tally);
  }
  double sum_an = 0;
#pragma unroll 1
  for (int64_t k = threadIdx.x; k < b.n; k += kAnchorThreads)
    if (has_terms && b.is_negative(a, k)) sum_an += static_cast<double>(anchor.row[k]);
  AnchorCounts counts;
  counts.loss = tally.loss;
  counts.sum_ap = tally.sum_ap;
  counts.sum_an = sum_an;
  counts.active = tally.active;
  counts.hard = tally.hard;
  counts.semi_hard = tally.semi_hard;
  if (threadIdx.x == 0) counts.members = static_cast<double>(b.n - others);
  const double negatives = has_terms ? others : 0,
               positives = has_terms ? static_cast<double>(b.n - 1 - others) : 0;
  if (threadIdx.x == 0) counts.terms = positives * negatives;
  counts.write<kAnchorThreads>(b, a, positives, negatives, to);
}

// After it: the slopes, and the diagonal.
template <class Cost>
__global__ void __launch_bounds__(kAnchorThreads)
    negative_slopes_kernel(TripletBatch b, TripletResults to, Cost cost) {
  __shared__ PositiveTile tile;
  const int64_t a = blockIdx.x;
  const AllTriplets<Cost> anchor{b, to, cost, 0, a, b.gram + a * b.n};
  if (!b.finite()) return;  // the whole block
  for (int64_t first = 0; first < b.n; first += kAnchorThreads) {
    const int count = find_positives(b, a, first, tile);
    for (int i = static_cast<int>(threadIdx.x) / kWarp; i < count; i += kAnchorWarps)
      anchor.positive_slope(tile.d[i], tile.index[i]);
    for (int64_t k = threadIdx.x; k < b.n; k += kAnchorThreads) anchor.negative(k, tile, count, first == 0);
  }
  if (threadIdx.x == 0) to.coefficients[a * b.n + a] = 0;
}

template <class Cost>
void launch_cost(cudaStream_t stream, const TripletBatch& batch, const TripletResults& results,
                 const Cost& cost) {
  const dim3 anchors(static_cast<unsigned>(batch.n));
  launch("all_triplets", all_triplets_kernel<Cost>, anchors, dim3(kAnchorThreads), 0, stream, batch, results,
         cost);
  if (results.coefficients)
    launch("negative_slopes", negative_slopes_kernel<Cost>, anchors, dim3(kAnchorThreads), 0, stream, batch,
           results, cost);
}

}  // namespace

void all_triplets(Device device, const TripletBatch& batch, const TripletResults& results) {
  const cudaStream_t stream = runtime(device).compute_stream();
  launch("signed_distances", signed_distances_kernel, blocks_for(batch.n * batch.n), dim3(kBlock), 0, stream,
         batch);
  if (batch.options.soft_margin) launch_cost(stream, batch, results, TripletSoft{});
  else launch_cost(stream, batch, results, TripletHinge{batch.options.margin});
  if (results.coefficients)
    launch("scale_slopes", scale_slopes_kernel, blocks_for(batch.n * batch.n), dim3(kBlock), 0, stream, batch,
           results.coefficients);
}

}  // namespace tern::cu
