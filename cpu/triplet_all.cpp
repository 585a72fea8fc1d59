// BatchAll at vector speed: tiles of the Gram matrix become rows of distances, and each positive of an anchor
// streams once over the row of its negatives. Nothing larger than the [N,N] coefficients is ever stored.

#include <algorithm>
#include <cmath>

#include "tern/core/parallel.h"
#include "tern/cpu/triplet_batch.h"
#include "tern/cpu/triplet_gradient.h"
#include "tern/cpu/triplet_rules.h"
#include "tern/cpu/triplet_stats.h"

namespace tern::cpu {
namespace {

class AllTriplets {
 public:
  AllTriplets(const BatchTripletGeometry& g, const float* u, const int64_t* labels)
      : g_(g),
        metric_(row_metric(g.options.distance)),
        batch_(u, labels, g.n, g.d),
        stats_(static_cast<size_t>(g.n)),
        ap_(pairs_per_anchor(true)),
        an_(pairs_per_anchor(false)) {
    out_.anchor_sums = Tensor::empty({g.n}, {DType::F64, kCpu});
    sums_ = out_.anchor_sums.mutable_data<double>();
    if (!g.need_gradient) return;
    const int64_t blocks = batch_.padded / kRowQuantum;
    out_.coefficients = Tensor::empty({blocks, blocks, kRowQuantum, kRowQuantum}, {DType::F32, kCpu});
    coefficients_ = out_.coefficients.mutable_data<float>();
    for (int64_t at = g.n; at < batch_.padded; ++at) clear_coefficients(at);
    out_.order = Tensor::from_data(std::span<const int64_t>(batch_.order), {g.n});
  }

  BatchTripletTerms run() {
    batch_.pack();
    parallel_for(batch_.tiles(), 1, [&](int64_t begin, int64_t end) {
      SquaredTile squared(batch_);
      Workspace work(batch_);
      for (int64_t tile = begin; tile < end; ++tile) {
        const int64_t first = tile * batch_.tile_rows(), rows = std::min(batch_.tile_rows(), g_.n - first);
        squared.compute(first, rows);
        for (int64_t r = 0; r < rows; ++r) anchor(first + r, squared.row(r), work);
      }
    });
    out_.measures = anchor_measures(stats_, ap_, an_);
    return out_;
  }

 private:
  struct Workspace {
    explicit Workspace(const SortedBatch& batch)
        : negative_slope(batch.padded), near(static_cast<size_t>(batch.padded)) {}
    std::vector<float> d_ap, slope;
    Scratch<float> negative_slope;
    std::vector<int32_t> near;
  };

  std::vector<int64_t> pairs_per_anchor(bool positive) const {
    std::vector<int64_t> pairs(static_cast<size_t>(g_.n), 0);
    for (int64_t at = 0; at < g_.n; ++at) {
      const int64_t members = batch_.end[static_cast<size_t>(at)] - batch_.begin[static_cast<size_t>(at)];
      if (batch_.has_terms(at))
        pairs[static_cast<size_t>(batch_.order[static_cast<size_t>(at)])] =
            positive ? members - 1 : g_.n - members;
    }
    return pairs;
  }

  // Squares that cancellation has spoilt, and those beyond f32, are computed directly.
  void recompute_near(int64_t at, const SquaredRow& squared, Workspace& work) const {
    float* row = squared.squares;
    const float norm = batch_.norms.data()[at];
    const float limit = kNearFraction * (norm + batch_.largest_norm);
    const TripletKernels& kernels = triplet_kernels();
    const auto direct = [&](int64_t j) {
      row[j] = static_cast<float>(
          std::min(batch_.exact(at, j), static_cast<double>(std::numeric_limits<float>::max())));
    };
    if (!squared.finite) {
      for (int64_t j = 0; j < g_.n; ++j) direct(j);
      return;
    }
    const int64_t count =
        kernels.collect(row, squared.least, -kInfinity, limit, batch_.padded, work.near.data());
    for (int64_t k = 0; k < count; ++k) {
      const int32_t j = work.near[static_cast<size_t>(k)];
      if (j != at && row[j] < kNearFraction * (norm + batch_.norms.data()[j])) direct(j);
    }
  }

  void anchor(int64_t at, const SquaredRow& squared, Workspace& work) {
    float* row = squared.squares;
    const int64_t index = batch_.order[static_cast<size_t>(at)];
    if (!batch_.has_terms(at)) {
      sums_[index] = 0;
      if (coefficients_) clear_coefficients(at);
      return;
    }
    const TripletKernels& kernels = triplet_kernels();
    recompute_near(at, squared, work);
    kernels.to_distance(row, metric_, batch_.padded);
    const int64_t begin = batch_.begin[static_cast<size_t>(at)], end = batch_.end[static_cast<size_t>(at)];
    work.d_ap.clear();
    for (int64_t j = begin; j < end; ++j)
      if (j != at) work.d_ap.push_back(row[j]);
    std::fill(row + begin, row + end, kInfinity);
    work.slope.resize(work.d_ap.size());
    TripletStream job{.negatives = row,
                      .n = batch_.padded,
                      .positives = work.d_ap.data(),
                      .count = static_cast<int64_t>(work.d_ap.size()),
                      .margin = static_cast<float>(g_.options.margin),
                      .soft = g_.options.soft_margin,
                      .positive_slope = work.slope.data(),
                      .negative_slope = work.negative_slope.data()};
    kernels.triplet_stream(job);
    sums_[index] = job.loss;
    note_stats(index, begin, end, row, job);
    if (!coefficients_) return;
    kernels.negative_coefficients(row, job.negative_slope, metric_, batch_.padded, coefficient(at, 0));
    size_t next = 0;
    for (int64_t j = begin; j < end; ++j) {
      *coefficient(at, j) = 0;
      if (j == at) continue;
      const double g = distance_slope(static_cast<double>(work.d_ap[next]), g_.options.distance);
      *coefficient(at, j) = static_cast<float>(g * static_cast<double>(work.slope[next]));
      ++next;
    }
  }

  float* coefficient(int64_t row, int64_t column) const {
    const int64_t block = row / kRowQuantum * (batch_.padded / kRowQuantum) + column / kRowQuantum;
    return coefficients_ + block * kCoefficientBlock + row % kRowQuantum * kRowQuantum + column % kRowQuantum;
  }
  void clear_coefficients(int64_t row) const {
    for (int64_t j = 0; j < batch_.padded; j += kRowQuantum)
      std::fill_n(coefficient(row, j), kRowQuantum, 0.0f);
  }

  void note_stats(int64_t index, int64_t begin, int64_t end, const float* row, const TripletStream& job) {
    AnchorStats& s = stats_[static_cast<size_t>(index)];
    s.positive_pairs = job.count;
    s.negative_pairs = g_.n - (end - begin);
    s.terms = s.positive_pairs * s.negative_pairs;
    s.active = job.active;
    s.hard = job.hard;
    s.semi_hard = job.semi_hard;
    for (int64_t i = 0; i < job.count; ++i) s.sum_ap += static_cast<double>(job.positives[i]);
    s.sum_an = triplet_kernels().sum_finite(row, batch_.padded);
    ap_.take(index, [&](int64_t k) { return static_cast<double>(job.positives[k]); });
    an_.take(index, [&](int64_t k) { return static_cast<double>(row[k < begin ? k : k + (end - begin)]); });
  }

  const BatchTripletGeometry& g_;
  const RowMetric metric_;
  SortedBatch batch_;
  std::vector<AnchorStats> stats_;
  PairSample ap_, an_;
  BatchTripletTerms out_;
  double* sums_ = nullptr;
  float* coefficients_ = nullptr;
};

}  // namespace

BatchTripletTerms all_triplets(const BatchTripletGeometry& g, const float* u, const int64_t* labels) {
  return AllTriplets(g, u, labels).run();
}

}  // namespace tern::cpu
