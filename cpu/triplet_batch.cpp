#include "tern/cpu/triplet_batch.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tern/core/parallel.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/reference/l2_normalize.h"
#include "tern/cpu/reference/squared_distance.h"
#include "tern/cpu/triplet_rules.h"

namespace tern::cpu {

const TripletKernels& triplet_kernels() {
  return isa_pick(
      []() -> auto& { return baseline::triplet_table; }, []() -> auto& { return avx2::triplet_table; },
      []() -> auto& { return avx512::triplet_table; });
}

namespace {

constexpr float kLargest = std::numeric_limits<float>::max();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

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

// Half of the design's 2 D 2^-24 (|a|^2 + |b|^2), the error of one Gram distance, with room for the rounding
// of the norms and of their sum.
double gram_error(int64_t d, double norms) { return static_cast<double>(d + 8) * 0x1p-24 * 1.01 * norms; }

}  // namespace

SortedBatch::SortedBatch(const float* u, const int64_t* labels, int64_t n, int64_t d)
    : n(n),
      d(d),
      padded((n + kRowQuantum - 1) / kRowQuantum * kRowQuantum),
      order(static_cast<size_t>(n)),
      position(static_cast<size_t>(n)),
      begin(static_cast<size_t>(n)),
      end(static_cast<size_t>(n)),
      rows(n * d),
      norms(padded),
      packed_(d, n) {
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return labels[a] < labels[b]; });
  for (int64_t at = 0; at < n;) {
    int64_t stop = at;
    const auto label = [&](int64_t i) { return labels[order[static_cast<size_t>(i)]]; };
    while (stop < n && label(stop) == label(at)) ++stop;
    for (int64_t i = at; i < stop; ++i) {
      begin[static_cast<size_t>(i)] = at;
      end[static_cast<size_t>(i)] = stop;
    }
    at = stop;
  }
  std::fill(norms.data(), norms.data() + padded, 0.0f);
  parallel_for(n, 64, [&](int64_t first, int64_t last) {
    for (int64_t at = first; at < last; ++at) {
      const int64_t index = order[static_cast<size_t>(at)];
      position[static_cast<size_t>(index)] = at;
      std::copy_n(u + index * d, d, rows.data() + at * d);
      norms.data()[at] = static_cast<float>(reference::dot(row(at), row(at), d));
    }
  });
  for (int64_t at = 0; at < n; ++at) largest_norm = std::max(largest_norm, norms.data()[at]);
}

double SortedBatch::exact(int64_t a, int64_t b) const {
  return reference::squared_distance(row(a), row(b), d);
}

void SortedBatch::pack() { packed_.pack(rows.data(), d, true); }

void SortedBatch::squared_tile(int64_t first, int64_t count, float* packed, float* out) const {
  float* c[kMaxTileRows];
  for (int64_t r = 0; r < count; ++r) c[r] = out + r * padded;
  multiply_tile(packed_, count, packed, c, [&](int64_t k, int64_t depth, float* to) {
    gemm_kernels().pack_rows(row(first) + k, d, count, depth, to);
  });
  for (int64_t r = 0; r < count; ++r) {
    std::fill(c[r] + n, c[r] + padded, 0.0f);
    triplet_kernels().gram_to_squared(c[r], norms.data(), norms.data()[first + r], padded);
    c[r][first + r] = 0;
    std::fill(c[r] + n, c[r] + padded, kInfinity);
  }
}

TripletRowFinder::TripletRowFinder(const SortedBatch& batch)
    : batch_(batch),
      kernels_(triplet_kernels()),
      exact_(static_cast<size_t>(batch.n)),
      candidates_(static_cast<size_t>(batch.padded)) {}

void TripletRowFinder::start(int64_t anchor, float* row) {
  anchor_ = anchor;
  row_ = row;
  farthest_negative_ = -1;
  std::fill(exact_.begin(), exact_.end(), -1.0);
  error_ = gram_error(
      batch_.d, static_cast<double>(batch_.norms.data()[anchor]) + static_cast<double>(batch_.largest_norm));
  const int64_t whole = batch_.n / kRowQuantum * kRowQuantum;
  bool finite = kernels_.all_finite(row, whole);
  for (int64_t j = whole; j < batch_.n; ++j) finite = finite && std::isfinite(row[j]);
  if (!finite) {  // squares beyond f32: the exact distances, rounded
    double largest = 0;
    for (int64_t j = 0; j < batch_.n; ++j) {
      const double x = std::min(exact_at(j), static_cast<double>(kLargest));
      row[j] = static_cast<float>(x);
      largest = std::max(largest, x);
    }
    error_ = largest * 0x1p-23;
  }
  const int64_t begin = batch_.begin[static_cast<size_t>(anchor)],
                end = batch_.end[static_cast<size_t>(anchor)];
  class_squares_.assign(row + begin, row + end);
  std::fill(row + begin, row + end, kInfinity);
  positives_.clear();
  for (int64_t j = begin; j < end; ++j)
    if (j != anchor) positives_.push_back(batch_.order[static_cast<size_t>(j)]);
}

double TripletRowFinder::exact_at(int64_t position) {
  double& x = exact_[static_cast<size_t>(position)];
  if (x < 0) x = batch_.exact(anchor_, position);
  return x;
}

void TripletRowFinder::make_exact(std::span<const int32_t> positions) {
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

void TripletRowFinder::decide_positives() {
  int64_t count = 0;
  for (const int64_t p : positives_)
    candidates_[static_cast<size_t>(count++)] = static_cast<int32_t>(batch_.position[static_cast<size_t>(p)]);
  make_exact({candidates_.data(), static_cast<size_t>(count)});
}

int64_t TripletRowFinder::extreme_positive(bool farthest) {
  const int64_t begin = batch_.begin[static_cast<size_t>(anchor_)];
  const double sign = farthest ? -1 : 1;
  double best = HUGE_VAL;  // of the sign-adjusted Gram values
  for (size_t k = 0; k < class_squares_.size(); ++k)
    if (begin + static_cast<int64_t>(k) != anchor_)
      best = std::min(best, sign * static_cast<double>(class_squares_[k]));
  int64_t chosen = -1;
  double chosen_x = 0;
  for (size_t k = 0; k < class_squares_.size();
       ++k) {  // positions of a class ascend with the index: first wins
    const int64_t j = begin + static_cast<int64_t>(k);
    if (j == anchor_ || sign * static_cast<double>(class_squares_[k]) > best + 2 * error_) continue;
    const double x = exact_at(j);
    if (chosen >= 0 && sign * x >= sign * chosen_x) continue;
    chosen = j;
    chosen_x = x;
  }
  return chosen < 0 ? -1 : batch_.order[static_cast<size_t>(chosen)];
}

int64_t TripletRowFinder::nearest_negative_above(double x) {
  const bool all = x < 0;
  const float surely = all ? -kInfinity : rounded_up(x + error_);
  const float perhaps = all ? -kInfinity : rounded_down(std::min(x, static_cast<double>(kLargest)) - error_);
  const float least = kernels_.min_above(row_, surely, batch_.padded);
  const float high = least == kInfinity ? kLargest : rounded_up(static_cast<double>(least) + 2 * error_);
  const int64_t count = kernels_.collect(row_, perhaps, high, batch_.padded, candidates_.data());
  const std::span<const int32_t> found(candidates_.data(), static_cast<size_t>(count));
  if (count > 1 || !all) make_exact(found);
  int64_t chosen = -1;
  double chosen_x = 0;
  for (const int32_t j : found) {
    const double candidate = exact_at(j);
    if (candidate <= x) continue;
    const int64_t index = batch_.order[static_cast<size_t>(j)];
    if (chosen >= 0 && (candidate > chosen_x || (candidate == chosen_x && index > chosen))) continue;
    chosen = index;
    chosen_x = candidate;
  }
  return chosen;
}

int64_t TripletRowFinder::farthest_negative() {
  if (farthest_negative_ >= 0) return farthest_negative_;
  float most = -kInfinity;
  for (int64_t j = 0; j < batch_.n; ++j)
    if (row_[j] < kInfinity) most = std::max(most, row_[j]);
  if (most == -kInfinity) return -1;
  const float low = rounded_down(static_cast<double>(most) - 2 * error_);
  const int64_t count =
      kernels_.collect(row_, std::nextafter(low, -kInfinity), kLargest, batch_.padded, candidates_.data());
  double chosen_x = -1;
  for (int64_t k = 0; k < count; ++k) {
    const double x = exact_at(candidates_[static_cast<size_t>(k)]);
    const int64_t index = batch_.order[static_cast<size_t>(candidates_[static_cast<size_t>(k)])];
    if (x < chosen_x || (x == chosen_x && index > farthest_negative_)) continue;
    farthest_negative_ = index;
    chosen_x = x;
  }
  return farthest_negative_;
}

void TripletRowFinder::violators(double limit, Distance distance, std::vector<int64_t>& out) {
  const double square = distance == Distance::Euclidean ? limit * limit
                        : distance == Distance::Cosine  ? 2 * limit
                                                        : limit;
  const float perhaps = rounded_up(square * (1 + 1e-12) + error_);
  const double surely = square * (1 - 1e-12) - error_;
  const int64_t count = kernels_.collect(row_, -kInfinity, perhaps, batch_.padded, candidates_.data());
  out.clear();
  for (int64_t k = 0; k < count; ++k) {
    const int32_t j = candidates_[static_cast<size_t>(k)];
    if (static_cast<double>(row_[j]) < surely || distance_of(exact_at(j), distance) < limit)
      out.push_back(batch_.order[static_cast<size_t>(j)]);
  }
  std::sort(out.begin(), out.end());
}

void TripletRowFinder::negatives(std::vector<int64_t>& out) {
  int64_t count = 0;
  for (int64_t j = 0; j < batch_.n; ++j)
    if (row_[j] < kInfinity) candidates_[static_cast<size_t>(count++)] = static_cast<int32_t>(j);
  make_exact({candidates_.data(), static_cast<size_t>(count)});
  out.clear();
  for (int64_t k = 0; k < count; ++k)
    out.push_back(batch_.order[static_cast<size_t>(candidates_[static_cast<size_t>(k)])]);
  std::sort(out.begin(), out.end());
}

}  // namespace tern::cpu
