#pragma once
// Gathering BatchMeasures on a device. The kernels of a loss fill a record for each row (anchor) of the
// batch; here the records are summed, the distance of every embedding to the mean is added, and evenly spaced
// pairs are sampled.

#include "tern/cuda/kernel.h"
#include "tern/ops/batch_measures.h"
#include "tern/ops/distance.h"

namespace tern::cu {

// Where the pairs of row a lie that its record counts as kPositivePairs and kNegativePairs.
enum class PairsOf : uint8_t {
  Anchor,  // all samples of the anchor's class but itself; all of other classes
  Slots,   // the terms of the anchor: its slots that hold one
  Later    // the samples j > a of a's class; those of other classes
};

struct BatchRecords {
  const float* u;  // [n,d]
  const int64_t* labels;
  int64_t n, d;
  Distance distance;
  PairsOf pairs;
  const int32_t* slots;  // [n, per_row, 2]: positive, negative, or -1 where the slot is empty
  int64_t per_row;
  double* records;  // [n, kMeasures]; kSquares is filled here
};

BatchMeasures gather_measures(Device device, const BatchRecords& batch);

}  // namespace tern::cu
