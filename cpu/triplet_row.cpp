#include "tern/cpu/triplet_row.h"

#include <algorithm>
#include <cmath>
#include <limits>

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
      value_(static_cast<size_t>(batch.n)),
      exact_(static_cast<size_t>(batch.n)),
      candidates_(static_cast<size_t>(batch.padded)),
      buckets_(std::clamp<int64_t>(batch.n / 2, 1, 2048)),
      bucket_(static_cast<size_t>(batch.padded)),
      bucket_begin_(static_cast<size_t>(buckets_ + 2)),
      by_bucket_(static_cast<size_t>(batch.padded)) {}

void FastTripletRow::start(int64_t anchor, float* row) {
  anchor_ = anchor;
  row_ = row;
  farthest_negative_ = -1;
  sorted_ = false;
  std::fill(value_.begin(), value_.end(), -1.0);
  std::fill(exact_.begin(), exact_.end(), -1.0);
  error_ = gram_error(
      batch_.d, static_cast<double>(batch_.norms.data()[anchor]) + static_cast<double>(batch_.largest_norm));
  std::fill(row + batch_.n, row + batch_.padded, 0.0f);
  if (!kernels_.all_finite(row, batch_.padded)) {  // squares beyond f32: the exact distances, rounded
    double largest = 0;
    for (int64_t j = 0; j < batch_.n; ++j) {
      const double x = std::min(exact_at(j), static_cast<double>(kLargest));
      row[j] = static_cast<float>(x);
      largest = std::max(largest, x);
    }
    error_ = largest * 0x1p-23;
  }
  std::fill(row + batch_.n, row + batch_.padded, kInfinity);
  class_begin_ = batch_.begin[static_cast<size_t>(anchor)];
  const int64_t end = batch_.end[static_cast<size_t>(anchor)];
  class_squares_.assign(row + class_begin_, row + end);
  std::fill(row + class_begin_, row + end, kInfinity);
  positives_.clear();
  for (int64_t j = class_begin_; j < end; ++j)
    if (j != anchor) positives_.push_back(index_of(j));
}

double FastTripletRow::gram_at(int64_t position) const {
  const auto member = static_cast<size_t>(position - class_begin_);  // wraps round below the class
  return static_cast<double>(member < class_squares_.size() ? class_squares_[member] : row_[position]);
}

FastTripletRow::Interval FastTripletRow::square_interval(int64_t position) const {
  const double x = exact_[static_cast<size_t>(position)];
  if (x >= 0) return {x, x};
  const double v = value_[static_cast<size_t>(position)];
  if (v >= 0) return {v * (1 - value_error_), v * (1 + value_error_)};
  const double s = gram_at(position);
  if (s >= static_cast<double>(kLargest)) return {s - error_, HUGE_VAL};
  return {s - error_, s + error_};
}

double FastTripletRow::value_at(int64_t position) {
  const double x = exact_[static_cast<size_t>(position)], v = value_[static_cast<size_t>(position)];
  if (x >= 0) return x;
  if (v >= 0) return v;
  const int32_t alone[1] = {static_cast<int32_t>(position)};
  make_values(alone);
  return value_[static_cast<size_t>(position)];
}

void FastTripletRow::make_values(std::span<const int32_t> positions) {
  unknown_.clear();
  for (const int32_t j : positions)
    if (value_[static_cast<size_t>(j)] < 0) unknown_.push_back(j);
  for (size_t i = 0; i < unknown_.size(); i += 4) {
    const float* others[4];
    double found[4];
    for (size_t k = 0; k < 4; ++k) others[k] = batch_.row(unknown_[std::min(i + k, unknown_.size() - 1)]);
    kernels_.squared_distances(batch_.row(anchor_), others, batch_.d, found);
    for (size_t k = 0; k < 4 && i + k < unknown_.size(); ++k)
      value_[static_cast<size_t>(unknown_[i + k])] = std::min(found[k], reference::kLargestSquare);
  }
}

void FastTripletRow::refine(std::span<const int64_t> indices) {
  size_t count = 0;
  for (const int64_t index : indices) {
    if (count == candidates_.size()) {
      make_values({candidates_.data(), count});
      count = 0;
    }
    candidates_[count++] = static_cast<int32_t>(position_of(index));
  }
  make_values({candidates_.data(), count});
}

double FastTripletRow::exact_at(int64_t position) {
  double& x = exact_[static_cast<size_t>(position)];
  if (x < 0) x = batch_.exact(anchor_, position);
  return x;
}

void FastTripletRow::make_exact(std::span<const int32_t> positions) {
  unknown_.clear();
  for (const int32_t j : positions)
    if (exact_[static_cast<size_t>(j)] < 0) unknown_.push_back(j);
  size_t i = 0;
  for (; i + 4 <= unknown_.size(); i += 4) {
    const float* others[4];
    double found[4];
    for (size_t k = 0; k < 4; ++k) others[k] = batch_.row(unknown_[i + k]);
    reference::squared_distances(batch_.row(anchor_), others, batch_.d, found);
    for (size_t k = 0; k < 4; ++k) exact_[static_cast<size_t>(unknown_[i + k])] = found[k];
  }
  for (; i < unknown_.size(); ++i) exact_at(unknown_[i]);
}

int64_t FastTripletRow::extreme_positive(bool farthest) {
  const double sign = farthest ? -1 : 1;
  double best = HUGE_VAL;
  for (const int64_t p : positives_) best = std::min(best, sign * gram_at(position_of(p)));
  int64_t count = 0;
  for (const int64_t p : positives_)
    if (sign * gram_at(position_of(p)) <= best + 2 * error_)
      candidates_[static_cast<size_t>(count++)] = static_cast<int32_t>(position_of(p));
  if (count > 1) make_exact({candidates_.data(), static_cast<size_t>(count)});
  int64_t chosen = -1;  // candidates ascend with the index: the first of equals wins
  for (int64_t k = 0; k < count; ++k) {
    const int64_t j = candidates_[static_cast<size_t>(k)];
    if (chosen < 0 || sign * exact_at(j) < sign * exact_at(chosen)) chosen = j;
  }
  return chosen < 0 ? -1 : index_of(chosen);
}

bool FastTripletRow::narrow(Interval bound, int64_t& count) {
  double high = HUGE_VAL;
  for (int64_t k = 0; k < count; ++k) {
    const Interval s = square_interval(candidates_[static_cast<size_t>(k)]);
    if (s.low > bound.high) high = std::min(high, s.high);
  }
  int64_t kept = 0;
  bool doubt = false;
  for (int64_t k = 0; k < count; ++k) {
    const int32_t j = candidates_[static_cast<size_t>(k)];
    const Interval s = square_interval(j);
    if (s.high <= bound.low || s.low > high) continue;
    doubt = doubt || s.low <= bound.high;
    candidates_[static_cast<size_t>(kept++)] = j;
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
    const int64_t index = index_of(candidates_[static_cast<size_t>(k)]);
    if (chosen < 0 || index < chosen) chosen = index;
  }
  return chosen;
}

void FastTripletRow::sort_into_buckets() {
  sorted_ = true;
  const float least = kernels_.min_above(row_, -kInfinity, batch_.padded);
  const float most = kernels_.max_finite(row_, batch_.padded);
  lowest_ = least;
  const float width = most - least;
  scale_ = width > 0 && width < kInfinity ? static_cast<float>(buckets_) / width : 0;
  if (!(scale_ < kInfinity)) scale_ = 0;
  kernels_.bucket_indices(row_, lowest_, scale_, buckets_, batch_.padded, bucket_.data());
  std::fill(bucket_begin_.begin(), bucket_begin_.end(), 0);
  for (int64_t j = 0; j < batch_.n; ++j)
    ++bucket_begin_[static_cast<size_t>(bucket_[static_cast<size_t>(j)]) + 1];
  for (int64_t b = 0; b <= buckets_; ++b)
    bucket_begin_[static_cast<size_t>(b) + 1] += bucket_begin_[static_cast<size_t>(b)];
  // Filling moves each start to its end; the loop after moves them back.
  for (int64_t j = 0; j < batch_.n; ++j)
    by_bucket_[static_cast<size_t>(bucket_begin_[static_cast<size_t>(bucket_[static_cast<size_t>(j)])]++)] =
        static_cast<int32_t>(j);
  for (int64_t b = buckets_ + 1; b > 0; --b)
    bucket_begin_[static_cast<size_t>(b)] = bucket_begin_[static_cast<size_t>(b) - 1];
  bucket_begin_[0] = 0;
}

// The kernel's arithmetic on one value: monotone, and equal for equal floats.
int64_t FastTripletRow::bucket_of(double square) const {
  const float at = (rounded_down(square) - lowest_) * scale_;
  if (!(at > 0)) return 0;
  return at >= static_cast<float>(buckets_ - 1) ? buckets_ - 1 : static_cast<int64_t>(at);
}

int64_t FastTripletRow::nearest_negative(int64_t beyond) {
  if (beyond < 0) {
    const float least = kernels_.min_above(row_, -kInfinity, batch_.padded);
    const float high = least == kInfinity ? kLargest : rounded_up(static_cast<double>(least) + 2 * error_);
    const int64_t count = kernels_.collect(row_, -kInfinity, high, batch_.padded, candidates_.data());
    return decide_lowest(-1, count);
  }
  if (!sorted_) sort_into_buckets();
  const int64_t p = position_of(beyond);
  const Interval bound = square_interval(p);
  const double perhaps = bound.low - error_, surely = bound.high + error_;
  const auto open = [&](double s) { return s <= perhaps && s < static_cast<double>(kLargest); };
  // The two lowest that are surely above, and whether another may be.
  double lowest = HUGE_VAL, second = HUGE_VAL;
  int64_t found = -1, last = buckets_ - 1;
  bool doubt = false;
  const int64_t first = bucket_of(perhaps);
  for (int64_t b = first; b <= last; ++b)
    for (int32_t i = bucket_begin_[static_cast<size_t>(b)]; i < bucket_begin_[static_cast<size_t>(b) + 1];
         ++i) {
      const int32_t j = by_bucket_[static_cast<size_t>(i)];
      const double s = static_cast<double>(row_[j]);
      if (open(s) || s >= second) continue;
      if (s <= surely) {
        doubt = true;
      } else if (s < lowest) {
        second = lowest;
        lowest = s;
        found = j;
        last = bucket_of(lowest + 2 * error_);
      } else {
        second = s;
      }
    }
  if (!doubt && (found < 0 || second > lowest + 2 * error_)) return found < 0 ? -1 : index_of(found);
  int64_t count = 0;
  for (int32_t i = bucket_begin_[static_cast<size_t>(first)];
       i < bucket_begin_[static_cast<size_t>(last) + 1]; ++i) {
    const int32_t j = by_bucket_[static_cast<size_t>(i)];
    const double s = static_cast<double>(row_[j]);
    if (!open(s) && s <= lowest + 2 * error_) candidates_[static_cast<size_t>(count++)] = j;
  }
  return decide_lowest(p, count);
}

int64_t FastTripletRow::farthest_negative() {
  if (farthest_negative_ >= 0) return farthest_negative_;
  const float most = kernels_.max_finite(row_, batch_.padded);
  if (most == -kInfinity) return -1;
  const float low = rounded_down(static_cast<double>(most) - 2 * error_);
  const int64_t count =
      kernels_.collect(row_, std::nextafter(low, -kInfinity), kLargest, batch_.padded, candidates_.data());
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

void FastTripletRow::violators(int64_t p, std::vector<int64_t>& out) {
  const Distance distance = geometry_.options.distance;
  const double limit = distance_of(squared(p), distance) + geometry_.options.margin;
  const double square = square_of(limit, distance);
  const float perhaps = rounded_up(square * (1 + 1e-12) + error_);
  const double surely = square * (1 - 1e-12) - error_;
  const int64_t count = kernels_.collect(row_, -kInfinity, perhaps, batch_.padded, candidates_.data());
  for (int64_t k = 0; k < count; ++k) {
    const int32_t j = candidates_[static_cast<size_t>(k)];
    if (static_cast<double>(row_[j]) < surely || distance_of(exact_at(j), distance) < limit)
      out.push_back(index_of(j));
  }
}

void FastTripletRow::negatives(std::vector<int64_t>& out) {
  int64_t count = 0;
  for (int64_t j = 0; j < batch_.n; ++j)
    if (row_[j] < kInfinity) candidates_[static_cast<size_t>(count++)] = static_cast<int32_t>(j);
  make_exact({candidates_.data(), static_cast<size_t>(count)});
  for (int64_t k = 0; k < count; ++k) out.push_back(index_of(candidates_[static_cast<size_t>(k)]));
  std::sort(out.begin(), out.end());
}

}  // namespace tern::cpu
