#include "tern/metrics/retrieval.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "tern/core/error.h"
#include "tern/core/parallel.h"

namespace tern::metrics {
namespace {

struct Answer {
  std::vector<uint8_t> hit;  // for each k
  double average_precision = 0;
};

// The `count` nearest photos to photo i, nearest first, itself left out.
void nearest(const std::vector<float>& row, int64_t i, size_t count, std::vector<int64_t>& order) {
  order.resize(row.size());
  std::iota(order.begin(), order.end(), 0);
  order.erase(order.begin() + i);
  count = std::min(count, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                    [&row](int64_t a, int64_t b) {
                      const float da = row[static_cast<size_t>(a)], db = row[static_cast<size_t>(b)];
                      return da != db ? da < db : a < b;
                    });
  order.resize(count);
}

Answer judge(std::span<const int64_t> identity, const std::vector<int64_t>& order, int64_t id,
             int64_t relevant, std::span<const int> ks) {
  Answer answer;
  answer.hit.assign(ks.size(), 0);
  int64_t right = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    if (identity[static_cast<size_t>(order[rank])] != id) continue;
    ++right;
    for (size_t k = 0; k < ks.size(); ++k) answer.hit[k] |= rank < static_cast<size_t>(ks[k]);
    if (static_cast<int64_t>(rank) < relevant) {
      answer.average_precision += static_cast<double>(right) / static_cast<double>(rank + 1);
    }
  }
  answer.average_precision /= static_cast<double>(relevant);
  return answer;
}

}  // namespace

Retrieval retrieval(std::span<const int64_t> identity, const DistanceRow& distance, std::span<const int> ks) {
  const auto n = static_cast<int64_t>(identity.size());
  std::map<int64_t, int64_t> photos;
  for (const int64_t id : identity) ++photos[id];
  int largest_k = 1;
  for (const int k : ks) {
    check(k >= 1, "retrieval: k must be positive, got ", k);
    largest_k = std::max(largest_k, k);
  }
  std::vector<Answer> answers(static_cast<size_t>(n));
  parallel_for(n, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> row(static_cast<size_t>(n));
    std::vector<int64_t> order;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t id = identity[static_cast<size_t>(i)];
      const int64_t relevant = photos.at(id) - 1;
      if (relevant == 0) continue;
      distance(i, 0, n, row.data());
      nearest(row, i, static_cast<size_t>(std::max<int64_t>(relevant, largest_k)), order);
      answers[static_cast<size_t>(i)] = judge(identity, order, id, relevant, ks);
    }
  });
  Retrieval result;
  result.recall_at.assign(ks.size(), 0);
  for (const Answer& answer : answers) {  // photos that ask nothing have no hits
    for (size_t k = 0; k < answer.hit.size(); ++k) result.recall_at[k] += answer.hit[k];
    result.map_at_r += answer.average_precision;
  }
  for (const auto& [id, count] : photos) result.queries += count > 1 ? count : 0;
  check<DataError>(result.queries > 0, "retrieval: no person has two photos among these ", n);
  for (double& recall : result.recall_at) recall /= static_cast<double>(result.queries);
  result.map_at_r /= static_cast<double>(result.queries);
  return result;
}

Rank1 rank1(std::span<const int64_t> identity, const DistanceRow& distance) {
  const auto n = static_cast<int64_t>(identity.size());
  std::map<int64_t, int64_t> first;
  std::vector<uint8_t> in_gallery(static_cast<size_t>(n), 0);
  for (int64_t i = 0; i < n; ++i) {
    in_gallery[static_cast<size_t>(i)] = first.emplace(identity[static_cast<size_t>(i)], i).second ? 1 : 0;
  }
  std::vector<uint8_t> right(static_cast<size_t>(n), 0);
  parallel_for(n, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> row(static_cast<size_t>(n));
    for (int64_t i = begin; i < end; ++i) {
      if (in_gallery[static_cast<size_t>(i)]) continue;
      distance(i, 0, n, row.data());
      int64_t best = -1;
      for (int64_t j = 0; j < n; ++j) {
        if (!in_gallery[static_cast<size_t>(j)]) continue;
        if (best < 0 || row[static_cast<size_t>(j)] < row[static_cast<size_t>(best)]) best = j;
      }
      right[static_cast<size_t>(i)] = identity[static_cast<size_t>(best)] == identity[static_cast<size_t>(i)];
    }
  });
  Rank1 result;
  result.people = static_cast<int64_t>(first.size());
  result.queries = n - result.people;
  check<DataError>(result.queries > 0, "rank1: no person has two photos among these ", n);
  result.rate = static_cast<double>(std::accumulate(right.begin(), right.end(), int64_t{0})) /
                static_cast<double>(result.queries);
  return result;
}

}  // namespace tern::metrics
