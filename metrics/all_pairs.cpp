#include "tern/metrics/all_pairs.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "tern/core/error.h"
#include "tern/core/parallel.h"
#include "tern/core/philox.h"

namespace tern::metrics {
namespace {

// sum (a - b)^2 in 16 partial sums, which any compiler turns into vectors; their order is fixed.
float squared_distance(const float* a, const float* b, int64_t dim) {
  constexpr int kLanes = 16;
  float sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const float d = a[i + lane] - b[i + lane];
      sums[lane] += d * d;
    }
  }
  float total = 0;
  for (; i < dim; ++i) total += (a[i] - b[i]) * (a[i] - b[i]);
  for (const float sum : sums) total += sum;
  return total;
}

// A different pair that may be accepted at the FARs of interest, by the numbers (0 .. people-1) of its
// people.
struct LowPair {
  float distance;
  int32_t person_a, person_b;
};

struct PeopleOf {
  std::vector<int32_t> person;  // of each photo
  std::vector<int64_t> photos;  // of each person
};

PeopleOf number_people(std::span<const int64_t> identity) {
  std::map<int64_t, int32_t> numbers;
  for (const int64_t id : identity) numbers.emplace(id, 0);
  int32_t next = 0;
  for (auto& [id, number] : numbers) number = next++;
  PeopleOf result;
  result.photos.assign(numbers.size(), 0);
  for (const int64_t id : identity) {
    result.person.push_back(numbers[id]);
    ++result.photos[static_cast<size_t>(numbers[id])];
  }
  return result;
}

// The pairs that decide: all same pairs (person_a == person_b) and the different pairs up to a distance;
// sorted.
std::vector<LowPair> deciding_pairs(const PeopleOf& people, const DistanceRow& distance, float limit) {
  const auto n = static_cast<int64_t>(people.person.size());
  std::vector<std::vector<LowPair>> found(static_cast<size_t>(n));
  parallel_for(n, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> row(static_cast<size_t>(n));
    for (int64_t i = begin; i < end; ++i) {
      distance(i, i + 1, n, row.data());
      const int32_t a = people.person[static_cast<size_t>(i)];
      for (int64_t j = i + 1; j < n; ++j) {
        const int32_t b = people.person[static_cast<size_t>(j)];
        const float d = row[static_cast<size_t>(j - i - 1)];
        if (a == b || d <= limit) found[static_cast<size_t>(i)].push_back({d, a, b});
      }
    }
  });
  std::vector<LowPair> pairs;
  for (const auto& list : found) pairs.insert(pairs.end(), list.begin(), list.end());
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const LowPair& x, const LowPair& y) { return x.distance < y.distance; });
  return pairs;
}

// TAR at each FAR when person p counts weight[p] times. Photos of one person drawn twice are not a new pair
// of people.
void weighted_tars(const std::vector<LowPair>& pairs, const PeopleOf& people,
                   const std::vector<int64_t>& weight, std::span<const double> wanted_fars,
                   std::vector<std::vector<double>>& tars) {
  int64_t same = 0, photos = 0, squares = 0;
  for (size_t p = 0; p < weight.size(); ++p) {
    const int64_t n = people.photos[p], drawn = weight[p] * n;
    same += weight[p] * (n * (n - 1) / 2);
    photos += drawn;
    squares += drawn * drawn;
  }
  const double different = static_cast<double>(photos * photos - squares) / 2;
  if (same == 0 || different == 0) return;
  for (size_t f = 0; f < wanted_fars.size(); ++f) {
    const double allowed = wanted_fars[f] * different + 1e-9;
    int64_t accepted_same = 0, accepted_different = 0;
    for (size_t i = 0; i < pairs.size();) {
      int64_t new_same = 0, new_different = 0;  // at one distance, all or none
      const float value = pairs[i].distance;
      for (; i < pairs.size() && pairs[i].distance == value; ++i) {
        const int64_t a = weight[static_cast<size_t>(pairs[i].person_a)];
        const int64_t b = weight[static_cast<size_t>(pairs[i].person_b)];
        if (pairs[i].person_a == pairs[i].person_b) {
          new_same += a;
        } else {
          new_different += a * b;
        }
      }
      if (static_cast<double>(accepted_different + new_different) > allowed) break;
      accepted_same += new_same;
      accepted_different += new_different;
    }
    tars[f].push_back(static_cast<double>(accepted_same) / static_cast<double>(same));
  }
}

}  // namespace

DistanceRow euclidean_distances(const Tensor& embeddings) {
  check<ShapeError>(embeddings.rank() == 2, "euclidean_distances: embeddings must be [N,D], got ",
                    embeddings.shape());
  const float* data = embeddings.data<float>();
  for (int64_t i = 0; i < embeddings.numel(); ++i) {
    check<NumericError>(std::isfinite(data[i]), "euclidean_distances: the embedding of photo ",
                        i / embeddings.size(1), " is not finite");
  }
  return [embeddings, data, dim = embeddings.size(1)](int64_t row, int64_t begin, int64_t end, float* out) {
    for (int64_t j = begin; j < end; ++j) {
      out[j - begin] = std::sqrt(squared_distance(data + row * dim, data + j * dim, dim));
    }
  };
}

DistanceRow kept_distances(int64_t photos, const DistanceRow& distance) {
  constexpr int64_t kMostPhotos = 8192;  // 256 MiB
  if (photos > kMostPhotos) return distance;
  const auto at = [photos](int64_t i, int64_t j) { return static_cast<size_t>(i * photos + j); };
  auto kept = std::make_shared<std::vector<float>>(static_cast<size_t>(photos * photos));
  float* matrix = kept->data();
  parallel_for(photos, 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) distance(i, i, photos, matrix + at(i, i));
  });
  parallel_for(photos, 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t j = 0; j < i; ++j) matrix[at(i, j)] = matrix[at(j, i)];
  });
  return [kept, matrix, at](int64_t row, int64_t begin, int64_t end, float* out) {
    std::copy(matrix + at(row, begin), matrix + at(row, end), out);
  };
}

SortedScores<float> all_pair_scores(std::span<const int64_t> identity, const DistanceRow& distance) {
  const auto n = static_cast<int64_t>(identity.size());
  // Where the pairs of each row begin, so that rows can be written in any order.
  std::map<int64_t, int64_t> left;
  for (const int64_t id : identity) ++left[id];
  std::vector<int64_t> same_start{0}, different_start{0};
  for (int64_t i = 0; i < n; ++i) {
    const int64_t same = --left[identity[static_cast<size_t>(i)]];
    same_start.push_back(same_start.back() + same);
    different_start.push_back(different_start.back() + n - 1 - i - same);
  }
  SortedScores<float> scores;
  scores.same.resize(static_cast<size_t>(same_start.back()));
  scores.different.resize(static_cast<size_t>(different_start.back()));
  parallel_for(n, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> row(static_cast<size_t>(n));
    for (int64_t i = begin; i < end; ++i) {
      distance(i, i + 1, n, row.data());
      auto same = static_cast<size_t>(same_start[static_cast<size_t>(i)]);
      auto different = static_cast<size_t>(different_start[static_cast<size_t>(i)]);
      for (int64_t j = i + 1; j < n; ++j) {
        const float d = row[static_cast<size_t>(j - i - 1)];
        const bool is_same = identity[static_cast<size_t>(i)] == identity[static_cast<size_t>(j)];
        (is_same ? scores.same[same++] : scores.different[different++]) = d;
      }
    }
  });
  sort_ascending(scores.same);
  sort_ascending(scores.different);
  return scores;
}

SortedScores<float> all_pair_scores(const Tensor& embeddings, std::span<const int64_t> identity) {
  check<ShapeError>(embeddings.rank() == 2 && embeddings.size(0) == static_cast<int64_t>(identity.size()),
                    "all_pair_scores: embeddings ", embeddings.shape(), " for ", identity.size(), " photos");
  return all_pair_scores(identity, euclidean_distances(embeddings));
}

std::vector<TarAtFar> people_intervals(std::span<const int64_t> identity, const DistanceRow& distance,
                                       const SortedScores<float>& scores, std::span<const double> wanted_fars,
                                       const Bootstrap& bootstrap) {
  check(bootstrap.rounds > 0, "people_intervals: rounds must be positive, got ", bootstrap.rounds);
  std::vector<TarAtFar> results;
  double highest = 0;
  for (const double far : wanted_fars) {
    check(far <= 0.2, "people_intervals: FAR must not exceed 0.2, got ", far);
    results.push_back(tar_at_far(scores, far));
    highest = std::max(highest, far);
  }
  if (results.empty()) return results;
  // A redrawn set has another threshold: pairs well beyond the measured FAR are kept for it.
  const auto size = static_cast<double>(scores.different.size());
  const double keep = std::min(size - 1, 3 * highest * size + 10 * std::sqrt(size));
  const PeopleOf people = number_people(identity);
  const auto pairs = deciding_pairs(people, distance, scores.different[static_cast<size_t>(keep)]);
  std::vector<std::vector<double>> tars(wanted_fars.size());
  for (int round = 0; round < bootstrap.rounds; ++round) {
    PhiloxSequence random(bootstrap.seed, RandomStream::Bootstrap, static_cast<uint64_t>(round));
    std::vector<int64_t> weight(people.photos.size(), 0);
    for (size_t draw = 0; draw < weight.size(); ++draw) {
      ++weight[random.below(static_cast<uint32_t>(weight.size()))];
    }
    weighted_tars(pairs, people, weight, wanted_fars, tars);
  }
  for (size_t f = 0; f < results.size(); ++f) {
    if (tars[f].empty()) continue;
    results[f].tar_low = quantile(tars[f], 0.025);
    results[f].tar_high = quantile(tars[f], 0.975);
  }
  return results;
}

}  // namespace tern::metrics
