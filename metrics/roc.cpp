#include "tern/metrics/roc.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tern/core/error.h"
#include "tern/core/philox.h"

namespace tern::metrics {
namespace {

template <class T>
void check_both_kinds(const SortedScores<T>& scores, const char* what) {
  check<DataError>(!scores.same.empty() && !scores.different.empty(), what, ": ", scores.same.size(),
                   " same and ", scores.different.size(), " different pairs; both kinds are needed");
}

// How many different pairs may be accepted at most. The small term keeps 0.001 * 3000 from becoming 2.
int64_t allowed_accepts(double wanted_far, size_t different) {
  return static_cast<int64_t>(std::floor(wanted_far * static_cast<double>(different) + 1e-9));
}

}  // namespace

template <class T>
std::vector<RocPoint> roc_curve(const SortedScores<T>& scores) {
  check_both_kinds(scores, "roc_curve");
  const double same = static_cast<double>(scores.same.size());
  const double different = static_cast<double>(scores.different.size());
  const double below = static_cast<double>(std::min(scores.same[0], scores.different[0]));
  std::vector<RocPoint> curve{{std::nextafter(below, -std::numeric_limits<double>::infinity()), 0, 0}};
  enum class Run { None, Up, Right, Both } run = Run::None;
  size_t s = 0, d = 0;
  double last = 0;
  while (s < scores.same.size() || d < scores.different.size()) {
    const bool take_same =
        d == scores.different.size() || (s < scores.same.size() && scores.same[s] <= scores.different[d]);
    const T value = take_same ? scores.same[s] : scores.different[d];
    const size_t s0 = s, d0 = d;
    while (s < scores.same.size() && scores.same[s] == value) ++s;
    while (d < scores.different.size() && scores.different[d] == value) ++d;
    if (run != Run::None) curve.back().threshold = between(last, static_cast<double>(value));
    const Run now = s == s0 ? Run::Right : d == d0 ? Run::Up : Run::Both;
    if (now == run && now != Run::Both) curve.pop_back();
    run = now;
    last = static_cast<double>(value);
    curve.push_back({last, static_cast<double>(d) / different, static_cast<double>(s) / same});
  }
  return curve;
}

template <class T>
double area_under_roc(const SortedScores<T>& scores) {
  check_both_kinds(scores, "area_under_roc");
  // Twice the number of (same, different) couples in the right order, ties counted half: whole numbers, so
  // exact.
  int64_t twice = 0;
  size_t less = 0, less_or_equal = 0;
  for (const T value : scores.different) {
    while (less < scores.same.size() && scores.same[less] < value) ++less;
    while (less_or_equal < scores.same.size() && scores.same[less_or_equal] <= value) ++less_or_equal;
    twice += static_cast<int64_t>(less + less_or_equal);
  }
  return static_cast<double>(twice) /
         (2.0 * static_cast<double>(scores.same.size()) * static_cast<double>(scores.different.size()));
}

template <class T>
EqualErrorRate equal_error_rate(const SortedScores<T>& scores) {
  const std::vector<RocPoint> curve = roc_curve(scores);
  // FAR - FRR grows from -1 to 1 along the curve: find the segment on which it passes 0.
  for (size_t i = 1; i < curve.size(); ++i) {
    const double before = curve[i - 1].far - (1 - curve[i - 1].tar);
    const double after = curve[i].far - (1 - curve[i].tar);
    if (after < 0) continue;
    const double part = after == before ? 0 : -before / (after - before);
    return {curve[i - 1].far + part * (curve[i].far - curve[i - 1].far),
            curve[i - 1].threshold + part * (curve[i].threshold - curve[i - 1].threshold)};
  }
  return {1, curve.back().threshold};
}

template <class T>
TarAtFar tar_at_far(const SortedScores<T>& scores, double wanted_far) {
  check_both_kinds(scores, "tar_at_far");
  check(wanted_far >= 0 && wanted_far <= 1, "tar_at_far: FAR must be within [0, 1], got ", wanted_far);
  const int64_t allowed = allowed_accepts(wanted_far, scores.different.size());
  double threshold;
  if (allowed >= static_cast<int64_t>(scores.different.size())) {
    threshold =
        std::max(static_cast<double>(scores.same.back()), static_cast<double>(scores.different.back()));
  } else {
    // Just below the first distance that may not be accepted, halfway to the next smaller one of either kind.
    const T limit = scores.different[static_cast<size_t>(allowed)];
    double low = std::nextafter(static_cast<double>(limit), -std::numeric_limits<double>::infinity());
    const auto s = std::lower_bound(scores.same.begin(), scores.same.end(), limit);
    const auto d = std::lower_bound(scores.different.begin(), scores.different.end(), limit);
    const bool has_same = s != scores.same.begin(), has_different = d != scores.different.begin();
    if (has_same || has_different) {
      low =
          std::max(has_same ? static_cast<double>(*(s - 1)) : -std::numeric_limits<double>::infinity(),
                   has_different ? static_cast<double>(*(d - 1)) : -std::numeric_limits<double>::infinity());
    }
    threshold = between(low, static_cast<double>(limit));
  }
  const Decisions result = decide(scores, threshold);
  return {wanted_far, result.tar(), result.far(), threshold, 0, 1, result.same, result.different};
}

TarAtFar tar_at_far(const SortedScores<double>& scores, double wanted_far, int rounds, uint64_t seed) {
  check(rounds > 0, "tar_at_far: rounds must be positive, got ", rounds);
  TarAtFar result = tar_at_far(scores, wanted_far);
  std::vector<double> tars;
  SortedScores<double> drawn = scores;
  for (int round = 0; round < rounds; ++round) {
    PhiloxSequence random(seed, RandomStream::Bootstrap, static_cast<uint64_t>(round));
    const auto resample = [&random](const std::vector<double>& from, std::vector<double>& to) {
      for (double& value : to) value = from[random.below(static_cast<uint32_t>(from.size()))];
      sort_ascending(to);
    };
    resample(scores.same, drawn.same);
    resample(scores.different, drawn.different);
    tars.push_back(tar_at_far(drawn, wanted_far).tar);
  }
  result.tar_low = quantile(tars, 0.025);
  result.tar_high = quantile(tars, 0.975);
  return result;
}

double quantile(std::vector<double> values, double q) {
  check<DataError>(!values.empty(), "quantile: no values");
  std::sort(values.begin(), values.end());
  const double rank = q * static_cast<double>(values.size() - 1);
  const auto low = static_cast<size_t>(std::floor(rank));
  const size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (rank - std::floor(rank)) * (values[high] - values[low]);
}

template std::vector<RocPoint> roc_curve(const SortedScores<float>&);
template std::vector<RocPoint> roc_curve(const SortedScores<double>&);
template double area_under_roc(const SortedScores<float>&);
template double area_under_roc(const SortedScores<double>&);
template EqualErrorRate equal_error_rate(const SortedScores<float>&);
template EqualErrorRate equal_error_rate(const SortedScores<double>&);
template TarAtFar tar_at_far(const SortedScores<float>&, double);
template TarAtFar tar_at_far(const SortedScores<double>&, double);

}  // namespace tern::metrics
