#pragma once
// A batch made ready for mining: rows sorted by label, so that an anchor's class is one range of positions
// and its negatives are the two ranges around it; the Gram matrix is computed in tiles of rows from one
// packed copy.

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "tern/cpu/batch_triplet_kernels.h"
#include "tern/cpu/gemm.h"
#include "tern/cpu/scratch.h"
#include "tern/ops/batch_triplet_loss.h"

namespace tern::cpu {

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

// C[rows, b.n] = A B for one tile of rows; pack(k_begin, depth, to) writes A's part by rows of kRowStride
// floats.
template <class Pack>
void multiply_tile(const PackedB& b, int64_t rows, float* packed, float* const* c, Pack&& pack) {
  const TileKernel kernel = gemm_kernels().by_rows[rows];
  for (int64_t block = 0; block < b.blocks.count; ++block) {
    const int64_t depth = b.blocks.size(block);
    pack(b.blocks.begin(block), depth, packed);
    for (int64_t panel = 0; panel < b.panels; ++panel) {
      const int64_t column = panel * b.width;
      kernel({.a = packed,
              .a_stride = kRowStride,
              .b = b.panel(block, panel),
              .depth = depth,
              .c = c,
              .column = column,
              .columns = std::min(b.width, b.n - column),
              .accumulate = block > 0});
    }
  }
}

inline RowMetric row_metric(Distance distance) {
  if (distance == Distance::Euclidean) return RowMetric::Euclidean;
  return distance == Distance::Cosine ? RowMetric::Cosine : RowMetric::SquaredEuclidean;
}

struct SortedBatch {
  SortedBatch(const float* u, const int64_t* labels, int64_t n, int64_t d);

  int64_t n, d;
  int64_t padded;                   // n rounded up to kRowQuantum
  std::vector<int64_t> order;       // position -> index; ascending within a class
  std::vector<int64_t> position;    // index -> position
  std::vector<int64_t> begin, end;  // of the class of each position
  Scratch<float> rows;              // [n,d]
  Scratch<float> norms;             // [padded] |u|^2
  float largest_norm = 0;

  int64_t tile_rows() const { return gemm_kernels().by_rows.rows; }
  int64_t tiles() const { return (n + tile_rows() - 1) / tile_rows(); }
  const float* row(int64_t at) const { return rows.data() + at * d; }
  bool has_terms(int64_t at) const {
    const int64_t members = end[static_cast<size_t>(at)] - begin[static_cast<size_t>(at)];
    return members > 1 && members < n;
  }
  double exact(int64_t a, int64_t b) const;  // the deciding squared distance of two positions

  void pack();  // before any tile is computed
  const PackedB& packed() const { return packed_; }

 private:
  PackedB packed_;
};

// One anchor's squared distances to all positions: 0 to itself, +infinity in the padding.
struct SquaredRow {
  float* squares;  // [padded]
  float* least;    // [padded / 4], see TripletKernels
  bool finite;     // whether f32 holds them all
};

// The rows of neighbouring anchors.
class SquaredTile {
 public:
  explicit SquaredTile(const SortedBatch& batch);
  void compute(int64_t first, int64_t rows);  // of the positions first .. first + rows
  SquaredRow row(int64_t r) const {
    return {squares_.data() + r * batch_.padded, least_.data() + r * batch_.padded / 4, finite_[r]};
  }

 private:
  const SortedBatch& batch_;
  const Scratch<float> packed_, squares_, least_;
  bool finite_[kMaxTileRows] = {};
};

// All deciding squared distances of neighbouring anchors, by position.
class ExactTile {
 public:
  explicit ExactTile(const SortedBatch& batch);
  void compute(int64_t first, int64_t rows);
  const double* row(int64_t r) const { return sums_.data() + r * stride_; }

 private:
  const SortedBatch& batch_;
  const int64_t stride_;
  const Scratch<double> sums_;
};

}  // namespace tern::cpu
