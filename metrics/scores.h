#pragma once
// Scores of photo pairs and the thresholds they allow.
//
// A pair of photos is accepted as the same person when distance <= threshold. Between two neighbouring
// distances every threshold decides alike, so that the midpoints of the sorted distances, one value below all
// of them and the largest are all thresholds there are: no grid. For n_s same and n_d different pairs
//     TAR = accepted same / n_s        FAR = accepted different / n_d
//     accuracy = (accepted same + rejected different) / (n_s + n_d)
//     balanced accuracy = (TAR + 1 - FAR) / 2.
// Ties between thresholds go to the lowest: the one that accepts least.

#include <cstdint>
#include <span>
#include <vector>

namespace tern::metrics {

// Pair i has distance distances[i]; same[i] is 1 if both photos show one person.
struct PairScores {
  std::vector<double> distances;
  std::vector<uint8_t> same;

  void add(double distance, bool same_person) {
    distances.push_back(distance);
    same.push_back(same_person ? 1 : 0);
  }
  int64_t size() const { return static_cast<int64_t>(distances.size()); }
};

// The distances of the two kinds of pairs, each ascending. float halves the memory of all pairs of a large
// set.
template <class T>
struct SortedScores {
  std::vector<T> same, different;
};

// Throws UsageError if the lengths differ, NumericError if a distance is not finite.
SortedScores<double> sort_scores(const PairScores& scores);
SortedScores<double> sort_scores(std::span<const double> distances, std::span<const uint8_t> same);

// Ascending, in place; radix sort where it pays. No NaN.
void sort_ascending(std::vector<float>& values);
void sort_ascending(std::vector<double>& values);

// A threshold t with low <= t < high: the midpoint where the type has one.
double between(double low, double high);

// Every threshold that decides differently, ascending. Empty input gives an empty list.
std::vector<double> candidate_thresholds(std::vector<double> distances);

// What a threshold does to a set of pairs.
struct Decisions {
  int64_t same = 0, different = 0;                    // pairs of each kind
  int64_t accepted_same = 0, accepted_different = 0;  // of these, distance <= threshold

  double tar() const { return same ? static_cast<double>(accepted_same) / static_cast<double>(same) : 0; }
  double far() const {
    return different ? static_cast<double>(accepted_different) / static_cast<double>(different) : 0;
  }
  double accuracy() const;
  double balanced_accuracy() const { return (tar() + 1 - far()) / 2; }
};

template <class T>
Decisions decide(const SortedScores<T>& scores, double threshold);

enum class Criterion { Accuracy, BalancedAccuracy };

struct BestThreshold {
  double threshold = 0;
  Decisions decisions;
};

// The exact optimum over all thresholds. Throws DataError if there are no pairs (for balanced accuracy: none
// of a kind).
template <class T>
BestThreshold best_threshold(const SortedScores<T>& scores, Criterion criterion);

}  // namespace tern::metrics
