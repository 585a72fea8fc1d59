#pragma once
// One anchor's distances as mining asks for them (cpu/triplet_rules.h): Gram proposes, direct differences
// decide.
//
// A Gram value lies within error_ of the exact squared distance, a difference summed in f64 in any order
// within a few parts in 10^14. A question is answered from the Gram values where these intervals leave no
// doubt; what is in doubt is refined to f64, and what then still is, to the exact sum. Nearest-negative
// questions go through buckets of the negatives by s, made once per anchor, so that a question touches a few
// of them instead of all. A bucket is a chain of positions, made in one pass.

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "tern/cpu/scratch.h"
#include "tern/cpu/triplet_batch.h"

namespace tern::cpu {

class FastTripletRow {
 public:
  FastTripletRow(const BatchTripletGeometry& geometry, const SortedBatch& batch);
  void start(int64_t anchor_position, const SquaredRow& row);  // which is overwritten

  std::span<const int64_t> positives() const { return positives_; }
  int64_t farthest_positive() { return extreme_positive(true); }
  int64_t nearest_positive() { return extreme_positive(false); }
  int64_t farthest_negative();
  int64_t nearest_negative(int64_t beyond);
  bool closer(int64_t n, int64_t p);
  template <class Choose>
  int64_t violator(int64_t p, Choose&& choose) {
    const int64_t count = count_violators(p);
    return count == 0 ? -1 : nth_violator(choose(count));
  }
  void negatives(std::vector<int64_t>& out);
  double squared(int64_t index) { return exact_at(position_of(index)); }
  double value(int64_t index) { return value_at(position_of(index)); }
  void refine(std::span<const int64_t> indices);  // makes their values known: cheaper together
  void know(const double* exact);                 // all distances, by position: none will be computed

 private:
  struct Interval {
    double low, high;
  };
  int64_t position_of(int64_t index) const { return batch_.position[static_cast<size_t>(index)]; }
  int64_t index_of(int64_t position) const { return batch_.order[static_cast<size_t>(position)]; }
  double gram_at(int64_t position) const;  // s, also of the anchor's class
  Interval square_interval(int64_t position) const;
  double value_at(int64_t position);
  void make_values(std::span<const int32_t> positions);
  void forget();
  void ask_for(int64_t position) const;
  double exact_at(int64_t position);
  void make_exact(std::span<const int32_t> positions);
  int64_t extreme_positive(bool farthest);
  // Of candidates_[0, count): keeps those that may be the lowest above bound; whether one may not be above it
  // at all.
  bool narrow(Interval bound, int64_t& count);
  // The lowest of candidates_[0, count) above position p (-1: of all).
  int64_t decide_lowest(int64_t p, int64_t count);

  // The question is kept for nth_violator.
  int64_t count_violators(int64_t p);
  int64_t nth_violator(int64_t at) const;

  // Buckets.
  struct Beyond {  // what lies above a bound: the two lowest s and where the first is
    double lowest = HUGE_VAL, second = HUGE_VAL;
    int32_t position = -1;
  };
  void sort_into_buckets();
  int64_t bucket_of(double square) const;
  Beyond lowest_beyond(double bound) const;
  int64_t collect_beyond(double bound, double last);

  const BatchTripletGeometry& geometry_;
  const SortedBatch& batch_;
  const TripletKernels& kernels_;
  int64_t anchor_ = 0, class_begin_ = 0;
  float* row_ = nullptr;    // squared distances; the anchor's class masked by +infinity
  float* least_ = nullptr;  // and their minima
  double error_ = 0;
  double value_error_;                // relative
  Scratch<double> value_, exact_;     // by position; negative: not computed yet
  std::vector<int32_t> touched_;      // positions of what was computed, to be forgotten
  std::vector<float> class_squares_;  // row_ of the class, before it was masked
  std::vector<int64_t> positives_;
  Scratch<int32_t> candidates_;
  std::vector<int32_t> wanted_, unknown_;
  int64_t farthest_negative_ = -1;  // once asked for

  bool by_index_known_ = false;
  Scratch<float> by_index_;           // row_ in the order of the samples
  Scratch<int32_t> violator_counts_;  // of its blocks, if no violator is in doubt; else
  std::vector<int64_t> violators_;    // they themselves
  float violator_limit_ = 0;

  bool sorted_ = false;
  float lowest_ = 0, scale_ = 0;  // bucket = (s - lowest_) * scale_
  int64_t buckets_;
  Scratch<int32_t> bucket_;  // by position
  Scratch<int32_t> first_;   // position by bucket, -1: empty; one more bucket holds what is masked
  Scratch<int32_t> next_;    // position that follows a position, or -1
};

}  // namespace tern::cpu
