#include "tern/metrics/verification.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "tern/core/error.h"
#include "tern/core/philox.h"

namespace tern::metrics {
namespace {

using People = std::vector<std::vector<int64_t>>;  // photos of each person
using Pair = std::pair<int64_t, int64_t>;

template <class T>
void shuffle(std::vector<T>& values, PhiloxSequence& random) {
  for (size_t i = values.size(); i > 1; --i) {
    std::swap(values[i - 1], values[random.below(static_cast<uint32_t>(i))]);
  }
}

// Deals people to folds like cards, those with several photos first, so that every fold gets its share of
// same pairs.
std::vector<People> deal(std::span<const int64_t> identity, int& folds, PhiloxSequence& random) {
  std::map<int64_t, std::vector<int64_t>> photos;
  for (size_t i = 0; i < identity.size(); ++i) photos[identity[i]].push_back(static_cast<int64_t>(i));
  People several, single;
  for (auto& [id, list] : photos) (list.size() > 1 ? several : single).push_back(std::move(list));
  const auto people = static_cast<int64_t>(several.size() + single.size());
  folds = static_cast<int>(std::min<int64_t>({folds, static_cast<int64_t>(several.size()), people / 2}));
  check<DataError>(folds >= 2, "sample_pairs: ", people, " people, ", several.size(),
                   " of them with two photos or more; two folds need at least 4 and 2");
  shuffle(several, random);
  shuffle(single, random);
  several.insert(several.end(), single.begin(), single.end());
  std::vector<People> dealt(static_cast<size_t>(folds));
  for (size_t i = 0; i < several.size(); ++i) {
    dealt[i % static_cast<size_t>(folds)].push_back(std::move(several[i]));
  }
  return dealt;
}

std::vector<Pair> every_same_pair(const People& people) {
  std::vector<Pair> pairs;
  for (const auto& photos : people) {
    for (size_t i = 0; i < photos.size(); ++i) {
      for (size_t j = i + 1; j < photos.size(); ++j) pairs.emplace_back(photos[i], photos[j]);
    }
  }
  return pairs;
}

std::vector<Pair> every_different_pair(const People& people) {
  std::vector<Pair> pairs;
  for (size_t p = 0; p < people.size(); ++p) {
    for (size_t q = p + 1; q < people.size(); ++q) {
      for (int64_t a : people[p]) {
        for (int64_t b : people[q]) pairs.emplace_back(a, b);
      }
    }
  }
  return pairs;
}

// `wanted` pairs without repetition. Draws until new while there is plenty, else picks from the full list.
template <class Draw, class List>
std::vector<Pair> pick(int64_t wanted, int64_t available, PhiloxSequence& random, Draw&& draw, List&& list) {
  std::vector<Pair> chosen;
  std::set<Pair> seen;
  for (int64_t tries = 0; available > 4 * wanted && tries < 50 * wanted; ++tries) {
    if (static_cast<int64_t>(chosen.size()) == wanted) break;
    Pair pair = draw();
    if (pair.first > pair.second) std::swap(pair.first, pair.second);
    if (seen.insert(pair).second) chosen.push_back(pair);
  }
  if (static_cast<int64_t>(chosen.size()) == wanted) return chosen;
  std::vector<Pair> rest;
  for (Pair pair : list()) {
    if (pair.first > pair.second) std::swap(pair.first, pair.second);
    if (!seen.contains(pair)) rest.push_back(pair);
  }
  shuffle(rest, random);
  for (size_t i = 0; i < rest.size() && static_cast<int64_t>(chosen.size()) < wanted; ++i)
    chosen.push_back(rest[i]);
  return chosen;
}

void sample_fold(const People& people, int fold, int64_t wanted, PhiloxSequence& random, SampledPairs& out) {
  std::vector<size_t> several;
  int64_t photos = 0, same_available = 0, squares = 0;
  for (size_t p = 0; p < people.size(); ++p) {
    const auto n = static_cast<int64_t>(people[p].size());
    if (n > 1) several.push_back(p);
    photos += n;
    squares += n * n;
    same_available += n * (n - 1) / 2;
  }
  const int64_t different_available = (photos * photos - squares) / 2;
  const int64_t count = std::min({wanted, same_available, different_available});
  const auto below = [&random](size_t n) { return random.below(static_cast<uint32_t>(n)); };
  const auto other = [&](size_t n, size_t first) {  // evenly among the n - 1 others
    const size_t second = below(n - 1);
    return second >= first ? second + 1 : second;
  };
  const auto same = pick(
      count, same_available, random,
      [&] {
        const auto& own = people[several[below(several.size())]];
        const size_t i = below(own.size());
        return Pair{own[i], own[other(own.size(), i)]};
      },
      [&] { return every_same_pair(people); });
  const auto different = pick(
      count, different_available, random,
      [&] {
        const size_t p = below(people.size()), q = other(people.size(), p);
        return Pair{people[p][below(people[p].size())], people[q][below(people[q].size())]};
      },
      [&] { return every_different_pair(people); });
  for (const Pair& pair : same) out.pairs.push_back({pair.first, pair.second, true, fold});
  for (const Pair& pair : different) out.pairs.push_back({pair.first, pair.second, false, fold});
  out.same += count;
  out.different += count;
}

void summarise(Verification& result) {
  const auto n = static_cast<double>(result.folds.size());
  double sum = 0, squares = 0;
  for (const FoldAccuracy& fold : result.folds) sum += fold.accuracy;
  result.accuracy_mean = sum / n;
  for (const FoldAccuracy& fold : result.folds) {
    squares += (fold.accuracy - result.accuracy_mean) * (fold.accuracy - result.accuracy_mean);
  }
  result.accuracy_std = std::sqrt(squares / (n - 1));
  const double half = student_t_975(static_cast<int>(n) - 1) * result.accuracy_std / std::sqrt(n);
  result.accuracy_low = std::max(0.0, result.accuracy_mean - half);
  result.accuracy_high = std::min(1.0, result.accuracy_mean + half);
}

}  // namespace

Verification verify_over_folds(const PairScores& scores, std::span<const int> fold) {
  check(static_cast<int64_t>(fold.size()) == scores.size(), "verify_over_folds: ", scores.size(),
        " pairs, but ", fold.size(), " fold numbers");
  const std::set<int> names(fold.begin(), fold.end());
  check<DataError>(names.size() >= 2, "verify_over_folds: ", names.size(),
                   " fold; the threshold of a fold comes from the others, so two are needed");
  Verification result;
  for (const int name : names) {
    PairScores own, others;
    for (size_t i = 0; i < fold.size(); ++i) {
      (fold[i] == name ? own : others).add(scores.distances[i], scores.same[i] != 0);
    }
    const double threshold = best_threshold(sort_scores(others), Criterion::Accuracy).threshold;
    const Decisions decisions = decide(sort_scores(own), threshold);
    result.folds.push_back({name, threshold, decisions.accuracy(), decisions.same, decisions.different});
  }
  result.threshold = best_threshold(sort_scores(scores), Criterion::Accuracy).threshold;
  summarise(result);
  return result;
}

bool can_sample_pairs(std::span<const int64_t> identity) {
  std::map<int64_t, int64_t> photos;
  for (const int64_t id : identity) ++photos[id];
  int64_t several = 0;
  for (const auto& [id, count] : photos) several += count > 1 ? 1 : 0;
  return photos.size() >= 4 && several >= 2;
}

SampledPairs sample_pairs(std::span<const int64_t> identity, const PairSampling& options) {
  check(options.folds >= 2 && options.pairs_per_kind >= 1, "sample_pairs: ", options.folds, " folds of ",
        options.pairs_per_kind, " pairs; at least 2 folds of 1 pair are needed");
  SampledPairs result;
  result.folds = options.folds;
  PhiloxSequence random(options.seed, RandomStream::Split,
                        0x70616972);  // "pair": a draw of its own in this stream
  const std::vector<People> folds = deal(identity, result.folds, random);
  for (size_t f = 0; f < folds.size(); ++f) {
    sample_fold(folds[f], static_cast<int>(f), options.pairs_per_kind, random, result);
  }
  return result;
}

double student_t_975(int degrees) {
  constexpr double kTable[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                               2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
                               2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};
  check(degrees >= 1, "student_t_975: degrees of freedom must be positive, got ", degrees);
  return degrees <= 30 ? kTable[degrees - 1] : 1.96 + 2.4 / degrees;  // within 0.003 beyond the table
}

}  // namespace tern::metrics
