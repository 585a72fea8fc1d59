#include "tern/cpu/triplet_row.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tern/cpu/reference/squared_distance.h"
#include "tern/cpu/triplet_rules.h"

namespace tern::cpu {
namespace {

constexpr float kLargest = std::numeric_limits<float>::max();

// The nearest floats on either side, within the finite range above.
float rounded_up(double x) {
  if (x >= static_cast<double>(kLargest)) return kLargest;
  const float f = static_cast<float>(x);
  return static_cast<double>(f) < x ? std::nextafter(f, kInfinity) : f;
}
float rounded_down(double x) {
  const float f = static_cast<float>(std::min(x, static_cast<double>(kLargest)));
  return static_cast<double>(f) > x ? std::nextafter(f, -kInfinity) : f;
}

}  // namespace

FastTripletRow::FastTripletRow(const BatchTripletGeometry& geometry, const SortedBatch& batch)
    : geometry_(geometry),
      batch_(batch),
      kernels_(triplet_kernels()),
      value_error_(static_cast<double>(batch.d + 4) * 0x1p-51),
      value_(batch.n),
      exact_(batch.n),
      candidates_(batch.padded),
      by_index_(batch.padded),
      violator_counts_(batch.padded / kRowQuantum),
      buckets_(std::clamp<int64_t>(batch.n, 1, 4096)),
      bucket_(batch.padded),
      first_(buckets_ + 1),
      next_(batch.padded) {
  std::fill_n(value_.data(), batch.n, -1.0);
  std::fill_n(exact_.data(), batch.n, -1.0);
  std::fill(by_index_.data() + batch.n, by_index_.data() + batch.padded, kInfinity);
}

void FastTripletRow::start(int64_t anchor, const SquaredRow& squared) {
  anchor_ = anchor;
  float* row = row_ = squared.squares;
  least_ = squared.least;
  farthest_negative_ = -1;
  sorted_ = by_index_known_ = false;
  forget();
  error_ = gram_error(
      batch_.d, static_cast<double>(batch_.norms.data()[anchor]) + static_cast<double>(batch_.largest_norm));
  if (!squared.finite) {  // squares beyond f32: the exact distances, rounded
    double largest = 0;
    for (int64_t j = 0; j < batch_.n; ++j) {
      const double x = std::min(exact_at(j), static_cast<double>(kLargest));
      row[j] = static_cast<float>(x);
      largest = std::max(largest, x);
    }
    error_ = largest * 0x1p-23;
    kernels_.update_least(row, 0, batch_.padded, least_);
  }
  class_begin_ = batch_.begin[static_cast<size_t>(anchor)];
  const int64_t end = batch_.end[static_cast<size_t>(anchor)];
  class_squares_.assign(row + class_begin_, row + end);
  std::fill(row + class_begin_, row + end, kInfinity);
  kernels_.update_least(row, class_begin_, end, least_);
  positives_.clear();
  for (int64_t j = class_begin_; j < end; ++j)
    if (j != anchor) positives_.push_back(index_of(j));
}

void FastTripletRow::forget() {
  for (const int32_t j : touched_) value_[j] = exact_[j] = -1;
  touched_.clear();
}

inline double FastTripletRow::gram_at(int64_t position) const {
  const auto member = static_cast<size_t>(position - class_begin_);  // wraps round below the class
  return static_cast<double>(member < class_squares_.size() ? class_squares_[member] : row_[position]);
}

inline FastTripletRow::Interval FastTripletRow::square_interval(int64_t position) const {
  const double x = exact_[position];
  if (x >= 0) return {x, x};
  const double v = value_[position];
  if (v >= 0) return {v * (1 - value_error_), v * (1 + value_error_)};
  const double s = gram_at(position);
  if (s >= static_cast<double>(kLargest)) return {s - error_, HUGE_VAL};
  return {s - error_, s + error_};
}

double FastTripletRow::value_at(int64_t position) {
  const double x = exact_[position], v = value_[position];
  if (x >= 0) return x;
  if (v >= 0) return v;
  const int32_t alone[1] = {static_cast<int32_t>(position)};
  make_values(alone);
  return value_[position];
}

// Its row will be read by make_values.
inline void FastTripletRow::ask_for(int64_t position) const {
  constexpr int64_t kLine = 16, kMost = 16;  // floats, lines
  for (int64_t k = 0; k < std::min(batch_.d, kMost * kLine); k += kLine)
    __builtin_prefetch(batch_.row(position) + k);
}

void FastTripletRow::make_values(std::span<const int32_t> positions) {
  unknown_.clear();
  for (const int32_t j : positions) {
    if (value_[j] >= 0 || exact_[j] >= 0) continue;
    unknown_.push_back(j);
    value_[j] = 0;  // listed once
  }
  for (size_t i = 0; i < unknown_.size(); i += 4) {
    const float* others[4];
    double found[4];
    for (size_t k = 0; k < 4; ++k) others[k] = batch_.row(unknown_[std::min(i + k, unknown_.size() - 1)]);
    kernels_.squared_distances(batch_.row(anchor_), others, batch_.d, found);
    for (size_t k = 0; k < 4 && i + k < unknown_.size(); ++k)
      value_[unknown_[i + k]] = std::min(found[k], reference::kLargestSquare);
  }
  touched_.insert(touched_.end(), unknown_.begin(), unknown_.end());
}

void FastTripletRow::refine(std::span<const int64_t> indices) {
  wanted_.clear();
  for (const int64_t index : indices) wanted_.push_back(static_cast<int32_t>(position_of(index)));
  make_values(wanted_);
}

void FastTripletRow::know(const double* exact) { std::copy_n(exact, batch_.n, exact_.data()); }

double FastTripletRow::exact_at(int64_t position) {
  double& x = exact_[position];
  if (x < 0) {
    x = batch_.exact(anchor_, position);
    touched_.push_back(static_cast<int32_t>(position));
  }
  return x;
}

void FastTripletRow::make_exact(std::span<const int32_t> positions) {
  unknown_.clear();
  for (const int32_t j : positions)
    if (exact_[j] < 0) unknown_.push_back(j);
  size_t i = 0;
  for (; i + 4 <= unknown_.size(); i += 4) {
    const float* others[4];
    double found[4];
    for (size_t k = 0; k < 4; ++k) others[k] = batch_.row(unknown_[i + k]);
    reference::squared_distances(batch_.row(anchor_), others, batch_.d, found);
    for (size_t k = 0; k < 4; ++k) exact_[unknown_[i + k]] = found[k];
    touched_.insert(touched_.end(), &unknown_[i], &unknown_[i] + 4);
  }
  for (; i < unknown_.size(); ++i) exact_at(unknown_[i]);
}

int64_t FastTripletRow::extreme_positive(bool farthest) {
  const double sign = farthest ? -1 : 1;
  const auto members = static_cast<int64_t>(class_squares_.size());
  const auto square = [&](int64_t member) {
    return sign * static_cast<double>(class_squares_[static_cast<size_t>(member)]);
  };
  double best = HUGE_VAL;
  for (int64_t m = 0; m < members; ++m)
    if (m != anchor_ - class_begin_) best = std::min(best, square(m));
  int64_t count = 0;
  for (int64_t m = 0; m < members; ++m)
    if (m != anchor_ - class_begin_ && square(m) <= best + 2 * error_)
      candidates_[count++] = static_cast<int32_t>(class_begin_ + m);
  if (count > 1) make_exact({candidates_.data(), static_cast<size_t>(count)});
  int64_t chosen = -1;  // candidates ascend with the index: the first of equals wins
  for (int64_t k = 0; k < count; ++k) {
    const int64_t j = candidates_[k];
    if (chosen < 0 || sign * exact_at(j) < sign * exact_at(chosen)) chosen = j;
  }
  return chosen < 0 ? -1 : index_of(chosen);
}

bool FastTripletRow::narrow(Interval bound, int64_t& count) {
  double high = HUGE_VAL;
  for (int64_t k = 0; k < count; ++k) {
    const Interval s = square_interval(candidates_[k]);
    if (s.low > bound.high) high = std::min(high, s.high);
  }
  int64_t kept = 0;
  bool doubt = false;
  for (int64_t k = 0; k < count; ++k) {
    const int32_t j = candidates_[k];
    const Interval s = square_interval(j);
    if (s.high <= bound.low || s.low > high) continue;
    doubt = doubt || s.low <= bound.high;
    candidates_[kept++] = j;
  }
  count = kept;
  return doubt;
}

int64_t FastTripletRow::decide_lowest(int64_t p, int64_t count) {
  const auto bound = [&] { return p < 0 ? Interval{-HUGE_VAL, -HUGE_VAL} : square_interval(p); };
  bool doubt = narrow(bound(), count);
  if (count > 1 || doubt) {
    make_values({candidates_.data(), static_cast<size_t>(count)});
    if (p >= 0) value_at(p);
    doubt = narrow(bound(), count);
  }
  if (count > 1 || doubt) {
    make_exact({candidates_.data(), static_cast<size_t>(count)});
    if (p >= 0) exact_at(p);
    // Points now: a bound of its own is passed only strictly, and what is kept is equal.
    const Interval x = bound();
    narrow({x.low, x.low}, count);
  }
  int64_t chosen = -1;
  for (int64_t k = 0; k < count; ++k) {
    const int64_t index = index_of(candidates_[k]);
    if (chosen < 0 || index < chosen) chosen = index;
  }
  return chosen;
}

void FastTripletRow::sort_into_buckets() {
  sorted_ = true;
  const float least = kernels_.minimum(least_, batch_.padded);
  const float most = kernels_.max_finite(row_, batch_.padded);
  lowest_ = least;
  const float width = most - least;
  scale_ = width > 0 && width < kInfinity ? static_cast<float>(buckets_) / width : 0;
  if (!(scale_ < kInfinity)) scale_ = 0;
  kernels_.bucket_indices(row_, lowest_, scale_, buckets_, batch_.padded, bucket_.data());
  std::fill_n(first_.data(), buckets_ + 1, -1);
  for (int64_t j = 0; j < batch_.n; ++j) {
    int32_t& first = first_[bucket_[j]];
    next_[j] = first;
    first = static_cast<int32_t>(j);
  }
}

// The kernel's arithmetic on the nearest float: monotone, and equal for equal floats.
inline int64_t FastTripletRow::bucket_of(double square) const {
  const float at = (static_cast<float>(square) - lowest_) * scale_;
  if (!(at > 0)) return 0;
  return at >= static_cast<float>(buckets_ - 1) ? buckets_ - 1 : static_cast<int64_t>(at);
}

// Above bound, or beyond the range of f32. A second that is not within 2 error_ of the lowest may be missing.
inline FastTripletRow::Beyond FastTripletRow::lowest_beyond(double bound) const {
  Beyond found;
  int64_t last = buckets_ - 1;
  for (int64_t b = bucket_of(bound); b <= last; ++b) {
    for (int32_t j = first_[b]; j >= 0; j = next_[j]) {
      const double s = static_cast<double>(row_[j]);
      const double above = s > bound || s >= static_cast<double>(kLargest) ? s : HUGE_VAL;
      found.second = std::min(found.second, std::max(found.lowest, above));
      found.position = above < found.lowest ? j : found.position;
      found.lowest = std::min(found.lowest, above);
    }
    if (found.position >= 0) last = bucket_of(found.lowest + 2 * error_);
  }
  return found;
}

// Into candidates_: above bound as before, and at most last.
int64_t FastTripletRow::collect_beyond(double bound, double last) {
  int64_t count = 0;
  for (int64_t b = bucket_of(bound); b <= bucket_of(last); ++b)
    for (int32_t j = first_[b]; j >= 0; j = next_[j]) {
      const double s = static_cast<double>(row_[j]);
      candidates_[count] = j;
      count += (s > bound || s >= static_cast<double>(kLargest)) && s <= last;
    }
  return count;
}

int64_t FastTripletRow::nearest_negative(int64_t beyond) {
  if (beyond < 0) {
    const float least = kernels_.minimum(least_, batch_.padded);
    const float high = least == kInfinity ? kLargest : rounded_up(static_cast<double>(least) + 2 * error_);
    const int64_t count = kernels_.collect(row_, least_, -kInfinity, high, batch_.padded, candidates_.data());
    return decide_lowest(-1, count);
  }
  if (!sorted_) sort_into_buckets();
  const int64_t p = position_of(beyond);
  const Interval bound = square_interval(p);
  const double perhaps = bound.low - error_, surely = bound.high + error_;
  const Beyond found = lowest_beyond(perhaps);
  if (found.position < 0) return -1;
  const bool doubt = found.lowest <= surely;
  if (!doubt && found.second > found.lowest + 2 * error_) {
    ask_for(found.position);
    return index_of(found.position);
  }
  const double highest = doubt ? lowest_beyond(surely).lowest : found.lowest;
  return decide_lowest(p, collect_beyond(perhaps, highest + 2 * error_));
}

int64_t FastTripletRow::farthest_negative() {
  if (farthest_negative_ >= 0) return farthest_negative_;
  const float most = kernels_.max_finite(row_, batch_.padded);
  if (most == -kInfinity) return -1;
  const float low = rounded_down(static_cast<double>(most) - 2 * error_);
  const int64_t count = kernels_.collect(row_, nullptr, std::nextafter(low, -kInfinity), kLargest,
                                         batch_.padded, candidates_.data());
  const std::span<const int32_t> found(candidates_.data(), static_cast<size_t>(count));
  make_exact(found);
  double chosen_x = -1;
  for (const int32_t j : found) {
    const double x = exact_at(j);
    if (x < chosen_x || (x == chosen_x && index_of(j) > farthest_negative_)) continue;
    farthest_negative_ = index_of(j);
    chosen_x = x;
  }
  return farthest_negative_;
}

bool FastTripletRow::closer(int64_t n, int64_t p) {
  const Distance distance = geometry_.options.distance;
  const double reach = distance_of(value(p), distance) + geometry_.options.margin;
  const double square = square_of(reach, distance), room = 4 * value_error_ * square;
  const Interval s = square_interval(position_of(n));
  if (s.high < square - room) return true;
  if (s.low > square + room) return false;
  return distance_of(squared(n), distance) < distance_of(squared(p), distance) + geometry_.options.margin;
}

int64_t FastTripletRow::count_violators(int64_t p) {
  if (!by_index_known_) {
    for (int64_t i = 0; i < batch_.n; ++i) by_index_[i] = row_[position_of(i)];
    by_index_known_ = true;
  }
  const Distance distance = geometry_.options.distance;
  const double square = square_of(distance_of(value(p), distance) + geometry_.options.margin, distance);
  const double room = 4 * value_error_ * square + error_;
  const float perhaps = rounded_up(square + room);
  violator_limit_ = std::nextafter(rounded_down(square - room), -kInfinity);
  violators_.clear();
  if (kernels_.count_blocks(by_index_.data(), violator_limit_, perhaps, batch_.padded,
                            violator_counts_.data()) == 0)
    return std::accumulate(violator_counts_.data(), violator_counts_.data() + batch_.padded / kRowQuantum,
                           int64_t{0});
  for (int64_t n = 0; n < batch_.n; ++n) {
    const float s = by_index_[n];
    if (s <= violator_limit_ || (s <= perhaps && closer(n, p))) violators_.push_back(n);
  }
  return static_cast<int64_t>(violators_.size());
}

int64_t FastTripletRow::nth_violator(int64_t at) const {
  if (!violators_.empty()) return violators_[static_cast<size_t>(at)];
  size_t block = 0;
  while (at >= violator_counts_[block]) at -= violator_counts_[block++];
  auto n = static_cast<int64_t>(block) * kRowQuantum;
  for (;; ++n)
    if (by_index_[n] <= violator_limit_ && at-- == 0) return n;
}

void FastTripletRow::negatives(std::vector<int64_t>& out) {
  int64_t count = 0;
  for (int64_t i = 0; i < batch_.n; ++i) {
    const int64_t j = position_of(i);
    if (row_[j] == kInfinity) continue;
    out.push_back(i);
    candidates_[count++] = static_cast<int32_t>(j);
  }
  make_exact({candidates_.data(), static_cast<size_t>(count)});
}

}  // namespace tern::cpu
