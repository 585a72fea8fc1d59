// The mining rules that compare distances (ops/batch_triplet_loss.h), a warp to each question. Gram proposes,
// direct differences decide: a value of the Gram matrix bounds the exact squared distance from both sides,
// whatever the order in which it was summed; what the bounds leave open is computed exactly. The chosen
// indices therefore depend on the bits of the embeddings alone, and are those of the CPU.

#include "tern/cuda/triplet_batch.cuh"

namespace tern::cu {
namespace {

struct Interval {
  double low, high;
};
struct Candidate {
  double key;
  int64_t index;  // -1: none
};

struct TripletRow {
  __device__ TripletRow(const TripletBatch& b, int64_t anchor)
      : b(b),
        a(anchor),
        norm(static_cast<float>(b.norms[anchor])),
        error(gram_error(b.d, static_cast<double>(norm) + b.summary[0])) {}
  // Holds the exact squared distance.
  __device__ Interval square(int64_t j) const {
    const float s = (norm + static_cast<float>(b.norms[j])) - 2 * b.gram[a * b.n + j];
    const double infinity = __builtin_inf();
    if (!(math::abs(s) <= kLargestFloat)) return {-infinity, infinity};
    return {static_cast<double>(s) - error, static_cast<double>(s) + error};
  }
  const TripletBatch& b;
  const int64_t a;
  const float norm;
  const double error;
};

// The lowest sign * d^2 above beyond among the allowed samples, equals to the lowest index. All lanes of a
// warp.
template <class Allowed>
__device__ Candidate lowest(const TripletRow& row, bool farthest, double beyond, const Allowed& allowed) {
  const int lane = lane_of_thread();
  const auto key_of = [&](int64_t j) {
    const Interval s = row.square(j);
    return farthest ? Interval{-s.high, -s.low} : s;
  };
  double reach = __builtin_inf();  // the lowest is not above this
  for (int64_t j = lane; j < row.b.n; j += kWarp) {
    if (!allowed(j)) continue;
    const Interval key = key_of(j);
    if (key.low > beyond && key.high < reach) reach = key.high;
  }
  reach = warp_minimum(reach);
  Candidate best{0, -1};
  for (int64_t j = lane; j < row.b.n; j += kWarp) {
    if (!allowed(j)) continue;
    const Interval key = key_of(j);
    if (key.high <= beyond || key.low > reach) continue;
    const double exact = row.b.exact(row.a, j), x = farthest ? -exact : exact;
    if (x > beyond && (best.index < 0 || x < best.key)) best = {x, j};
  }
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const double key = __shfl_xor_sync(kFullMask, best.key, distance);
    const int64_t index = __shfl_xor_sync(kFullMask, best.index, distance);
    const bool better = best.index < 0 || key < best.key || (key == best.key && index < best.index);
    if (index >= 0 && better) best = {key, index};
  }
  return best;
}

__device__ int64_t nearest_negative(const TripletRow& row, double beyond) {
  return lowest(row, false, beyond, [&](int64_t j) { return row.b.is_negative(row.a, j); }).index;
}

// The violators of (a, p) in ascending order: the one that the draw names.
__device__ int64_t random_violator(const TripletRow& row, int64_t p, double squared_ap) {
  const Distance distance = row.b.options.distance;
  const double limit = distance_of(squared_ap, distance) + row.b.options.margin,
               square = square_of(limit, distance);
  const auto violates = [&](int64_t j) {
    if (j >= row.b.n || !row.b.is_negative(row.a, j)) return false;
    const Interval s = row.square(j);
    if (s.high < square * (1 - 1e-12)) return true;
    if (s.low > square * (1 + 1e-12)) return false;
    return distance_of(row.b.exact(row.a, j), distance) < limit;
  };
  int64_t count = 0;
  for (int64_t base = 0; base < row.b.n; base += kWarp)
    count += __popc(__ballot_sync(kFullMask, violates(base + lane_of_thread())));
  if (count == 0) return -1;
  int64_t left = uniform_below(row.b.bits(row.a, p), static_cast<uint32_t>(count));
  for (int64_t base = 0; base < row.b.n; base += kWarp) {
    unsigned found = __ballot_sync(kFullMask, violates(base + lane_of_thread()));
    if (left >= __popc(found)) {
      left -= __popc(found);
      continue;
    }
    for (; left > 0; --left) found &= found - 1;
    return base + __ffs(static_cast<int>(found)) - 1;
  }
  return -1;
}

template <Mining kMining>
__device__ int64_t mine_negative(const TripletRow& row, int64_t p) {
  const double squared_ap = row.b.exact(row.a, p);
  if constexpr (kMining == Mining::RandomViolator) {
    return p < row.a ? -1 : random_violator(row, p, squared_ap);
  } else {
    const int64_t n = nearest_negative(row, squared_ap);
    if constexpr (kMining == Mining::SemiHardOrHardest) {
      if (n >= 0) return n;
      const auto negative = [&](int64_t j) { return row.b.is_negative(row.a, j); };
      return lowest(row, true, -__builtin_inf(), negative).index;
    }
    const Distance distance = row.b.options.distance;
    const bool inside = n >= 0 && distance_of(row.b.exact(row.a, n), distance) <
                                      distance_of(squared_ap, distance) + row.b.options.margin;
    return inside ? n : -1;
  }
}

// A block has an anchor, its warps take the samples in turns of 32.
template <Mining kMining>
__global__ void __launch_bounds__(kAnchorThreads, 1) mine_pairs_kernel(TripletBatch b, TripletSlots slots) {
  const int64_t a = blockIdx.x;
  const int lane = lane_of_thread();
  const TripletRow row(b, a);
  for (int64_t base = threadIdx.x - lane; base < b.n; base += kAnchorThreads) {
    const int64_t j = base + lane;
    unsigned positives = __ballot_sync(kFullMask, j < b.n && b.finite() && b.is_positive(a, j));
    int32_t mine = -1;
    for (; positives != 0; positives &= positives - 1) {
      const int bit = __ffs(static_cast<int>(positives)) - 1;
      const int64_t n = mine_negative<kMining>(row, base + bit);
      if (lane == bit) mine = static_cast<int32_t>(n);
    }
    if (j >= b.n) continue;
    int32_t* slot = slots.at + (a * b.n + j) * 2;
    slot[0] = static_cast<int32_t>(j);
    slot[1] = mine;
  }
}

// A warp has an anchor.
__global__ void __launch_bounds__(kBlock) mine_anchors_kernel(TripletBatch b, TripletSlots slots) {
  const int64_t a = row_of_warp();
  if (a >= b.n) return;
  const TripletRow row(b, a);
  const bool hard = b.options.mining == Mining::BatchHard;
  const auto positive = [&](int64_t j) { return b.finite() && b.is_positive(a, j); };
  const Candidate p = lowest(row, hard, -__builtin_inf(), positive);
  const bool writes = lane_of_thread() == 0;  // at once: kept until the end, sm_100 spills it
  if (writes) slots.at[2 * a] = static_cast<int32_t>(p.index);
  const int64_t n = p.index < 0 ? -1 : nearest_negative(row, hard ? -__builtin_inf() : p.key);
  if (writes) slots.at[2 * a + 1] = static_cast<int32_t>(n);
}

}  // namespace

void mine_slots(Device device, const TripletBatch& batch, const TripletSlots& slots) {
  const cudaStream_t stream = runtime(device).compute_stream();
  const dim3 anchors(static_cast<unsigned>(batch.n));
  const auto mine_pairs = [&](void (*kernel)(TripletBatch, TripletSlots)) {
    launch("mine_pairs", kernel, anchors, dim3(kAnchorThreads), 0, stream, batch, slots);
  };
  switch (batch.options.mining) {
    case Mining::SemiHard: return mine_pairs(mine_pairs_kernel<Mining::SemiHard>);
    case Mining::SemiHardOrHardest: return mine_pairs(mine_pairs_kernel<Mining::SemiHardOrHardest>);
    case Mining::RandomViolator: return mine_pairs(mine_pairs_kernel<Mining::RandomViolator>);
    case Mining::DistanceWeighted: return mine_by_distance(device, batch, slots);
    default:
      launch("mine_anchors", mine_anchors_kernel, blocks_for_rows(batch.n), dim3(kBlock), 0, stream, batch,
             slots);
  }
}

}  // namespace tern::cu
