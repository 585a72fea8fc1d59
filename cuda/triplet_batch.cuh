#pragma once
// The batch triplet loss on a device, in passes that never ask the host:
//
//   prepare_batch       squared norms, the largest of them, whether all is finite; the Gram matrix
//   mine_slots          a mining rule writes a slot per anchor, or per (anchor, positive): where it finds no
//   term the
//                       slot says so, and the number of terms is nobody's business
//   triplet_terms       losses, slopes and counts of the slots; the anchor's row of coefficients
//   all_triplets        the same for BatchAll, which has no slots
//
// A sample's class is found by comparing labels: nothing is sorted.

#include "tern/cuda/block.cuh"
#include "tern/cuda/exact_distance.cuh"
#include "tern/cuda/kernel.h"
#include "tern/ops/batch_triplet_loss.h"

namespace tern::cu {

inline constexpr int kAnchorThreads = 128;  // of a block that has one anchor: 4 warps

// What the kernels read.
struct TripletBatch {
  const float* u;         // [n,d]
  const int64_t* labels;  // [n]
  const double* norms;    // [n] |u|^2
  const double* summary;  // [2]: the largest norm; 1 if every embedding is finite, else 0
  float* gram;            // [n,n]; null where nobody asks
  int64_t n, d;
  BatchTripletOptions options;
  DrawStep step;

  __device__ bool finite() const { return summary[1] != 0; }
  __device__ bool is_positive(int64_t a, int64_t j) const { return j != a && labels[j] == labels[a]; }
  __device__ bool is_negative(int64_t a, int64_t j) const { return labels[j] != labels[a]; }
  __device__ uint32_t bits(int64_t anchor, int64_t positive) const {
    return mining_bits(options.seed, step.now(), n, anchor, positive);
  }
  __device__ double exact(int64_t i, int64_t j) const { return exact_squared(u + i * d, u + j * d, d); }
};

// One slot: positive and negative, or -1 for the negative where there is no term.
struct TripletSlots {
  int32_t* at;  // [n, per_anchor, 2]
  int64_t per_anchor;
};

// What an anchor's terms give.
struct TripletResults {
  float* coefficients;  // [n,n] or null
  double *sums, *records;
};

// Slots of a rule for each anchor.
inline int64_t slots_per_anchor(Mining mining, int64_t n) {
  return mining == Mining::BatchHard || mining == Mining::EasyPositive ? 1 : n;
}

void mine_slots(Device device, const TripletBatch& batch, const TripletSlots& slots);
void mine_by_distance(Device device, const TripletBatch& batch,
                      const TripletSlots& slots);  // DistanceWeighted
// Overwrites the Gram matrix.
void triplet_terms(Device device, const TripletBatch& batch, const TripletSlots& slots,
                   const TripletResults& results);
void all_triplets(Device device, const TripletBatch& batch, const TripletResults& results);

// The counts and sums of one anchor, from all threads of a block, to its record; the anchor's sum.
struct AnchorCounts {
  double loss = 0, terms = 0, active = 0, hard = 0, semi_hard = 0, sum_ap = 0, sum_an = 0, members = 0;

  template <int kThreads>
  __device__ __forceinline__ void write(const TripletBatch& b, int64_t a, double positive_pairs,
                                        double negative_pairs, const TripletResults& to) const {
    const bool finite = b.finite();
    double* record = to.records + a * kMeasures;
    const auto put = [&](double* place, double value, double otherwise) {
      value = block_sum<kThreads>(value);
      if (threadIdx.x == 0) *place = finite ? value : otherwise;
      return value;
    };
    put(to.sums + a, loss, __builtin_nan(""));
    put(record + kActive, active, 0);
    put(record + kHard, hard, 0);
    put(record + kSemiHard, semi_hard, 0);
    put(record + kPositiveSum, sum_ap, 0);
    put(record + kNegativeSum, sum_an, 0);
    const double t = put(record + kTerms, terms, 0), m = block_sum<kThreads>(members);
    if (threadIdx.x != 0) return;
    record[kValid] = m > 0 ? (m - 1) * (static_cast<double>(b.n) - m) : 0;
    record[kPositivePairs] = finite ? (positive_pairs < 0 ? t : positive_pairs) : 0;
    record[kNegativePairs] = finite ? (negative_pairs < 0 ? t : negative_pairs) : 0;
  }
};

}  // namespace tern::cu
