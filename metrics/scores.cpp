#include "tern/metrics/scores.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "tern/core/error.h"

namespace tern::metrics {
namespace {

// Order of the bits = order of the values: flip everything of a negative number, else the sign.
uint32_t to_key(uint32_t bits) { return (bits & 0x80000000u) ? ~bits : bits | 0x80000000u; }
uint32_t from_key(uint32_t key) { return (key & 0x80000000u) ? key & 0x7fffffffu : ~key; }

void radix_sort(std::vector<float>& values) {
  static_assert(sizeof(float) == sizeof(uint32_t));
  std::vector<uint32_t> keys(values.size()), other(values.size());
  std::memcpy(keys.data(), values.data(), values.size() * sizeof(float));
  for (uint32_t& k : keys) k = to_key(k);
  for (int shift = 0; shift < 32; shift += 11) {
    std::array<size_t, 2048> starts{};
    for (uint32_t k : keys) ++starts[(k >> shift) & 2047];
    size_t sum = 0;
    for (size_t& s : starts) sum += std::exchange(s, sum);
    for (uint32_t k : keys) other[starts[(k >> shift) & 2047]++] = k;
    keys.swap(other);
  }
  for (uint32_t& k : keys) k = from_key(k);
  std::memcpy(values.data(), keys.data(), values.size() * sizeof(float));
}

// Calls visit(value, same, different) for each distinct distance, ascending, with the pairs of each kind at
// it.
template <class T, class Visit>
void for_each_distance(const SortedScores<T>& scores, Visit&& visit) {
  size_t s = 0, d = 0;
  while (s < scores.same.size() || d < scores.different.size()) {
    const bool take_same =
        d == scores.different.size() || (s < scores.same.size() && scores.same[s] <= scores.different[d]);
    const T value = take_same ? scores.same[s] : scores.different[d];
    const size_t s0 = s, d0 = d;
    while (s < scores.same.size() && scores.same[s] == value) ++s;
    while (d < scores.different.size() && scores.different[d] == value) ++d;
    visit(static_cast<double>(value), static_cast<int64_t>(s - s0), static_cast<int64_t>(d - d0));
  }
}

}  // namespace

void sort_ascending(std::vector<float>& values) {
  if (values.size() < 1 << 14) {
    std::sort(values.begin(), values.end());
  } else {
    radix_sort(values);
  }
}

void sort_ascending(std::vector<double>& values) { std::sort(values.begin(), values.end()); }

SortedScores<double> sort_scores(std::span<const double> distances, std::span<const uint8_t> same) {
  check(distances.size() == same.size(), "sort_scores: ", distances.size(), " distances, but ", same.size(),
        " same flags");
  SortedScores<double> sorted;
  for (size_t i = 0; i < distances.size(); ++i) {
    check<NumericError>(std::isfinite(distances[i]), "sort_scores: distance ", i, " is not finite");
    (same[i] ? sorted.same : sorted.different).push_back(distances[i]);
  }
  sort_ascending(sorted.same);
  sort_ascending(sorted.different);
  return sorted;
}

SortedScores<double> sort_scores(const PairScores& scores) {
  return sort_scores(scores.distances, scores.same);
}

double between(double low, double high) {
  const double middle = low + (high - low) / 2;
  return middle < high ? middle : low;
}

std::vector<double> candidate_thresholds(std::vector<double> distances) {
  sort_ascending(distances);
  distances.erase(std::unique(distances.begin(), distances.end()), distances.end());
  if (distances.empty()) return {};
  std::vector<double> thresholds;
  thresholds.reserve(distances.size() + 1);
  thresholds.push_back(std::nextafter(distances.front(), -std::numeric_limits<double>::infinity()));
  for (size_t i = 0; i + 1 < distances.size(); ++i) {
    thresholds.push_back(between(distances[i], distances[i + 1]));
  }
  thresholds.push_back(distances.back());
  return thresholds;
}

double Decisions::accuracy() const {
  const int64_t all = same + different;
  return all ? static_cast<double>(accepted_same + different - accepted_different) / static_cast<double>(all)
             : 0;
}

template <class T>
Decisions decide(const SortedScores<T>& scores, double threshold) {
  const auto accepted = [threshold](const std::vector<T>& values) {
    return std::upper_bound(values.begin(), values.end(), threshold,
                            [](double t, T v) { return t < static_cast<double>(v); }) -
           values.begin();
  };
  return {static_cast<int64_t>(scores.same.size()), static_cast<int64_t>(scores.different.size()),
          accepted(scores.same), accepted(scores.different)};
}

template <class T>
BestThreshold best_threshold(const SortedScores<T>& scores, Criterion criterion) {
  const bool balanced = criterion == Criterion::BalancedAccuracy;
  check<DataError>(!scores.same.empty() || !scores.different.empty(), "best_threshold: there are no pairs");
  check<DataError>(!balanced || (!scores.same.empty() && !scores.different.empty()),
                   "best_threshold: ", scores.same.size(), " same and ", scores.different.size(),
                   " different pairs; balanced accuracy needs both");
  Decisions now{static_cast<int64_t>(scores.same.size()), static_cast<int64_t>(scores.different.size()), 0,
                0};
  // Whole numbers, so that equal values tie exactly: accuracy counts pairs, balanced accuracy weighs them.
  const int64_t same_gain = balanced ? std::max<int64_t>(now.different, 1) : 1;
  const int64_t different_cost = balanced ? std::max<int64_t>(now.same, 1) : 1;
  const auto gain = [&](const Decisions& d) {
    return d.accepted_same * same_gain - d.accepted_different * different_cost;
  };
  BestThreshold best;
  double last = 0;
  bool first = true,
       open = false;  // open: the best is the last distance seen, its upper neighbour is still to come
  int64_t best_gain = 0;
  for_each_distance(scores, [&](double value, int64_t same, int64_t different) {
    if (first) {
      best = {std::nextafter(value, -std::numeric_limits<double>::infinity()), now};
      first = false;
    }
    if (open) best.threshold = between(last, value);
    open = false;
    now.accepted_same += same;
    now.accepted_different += different;
    if (gain(now) > best_gain) {
      best_gain = gain(now);
      best = {value, now};
      open = true;
    }
    last = value;
  });
  return best;
}

template Decisions decide(const SortedScores<float>&, double);
template Decisions decide(const SortedScores<double>&, double);
template BestThreshold best_threshold(const SortedScores<float>&, Criterion);
template BestThreshold best_threshold(const SortedScores<double>&, Criterion);

}  // namespace tern::metrics
