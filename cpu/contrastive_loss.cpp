#include "tern/ops/contrastive_loss.h"

#include "tern/core/parallel.h"
#include "tern/cpu/grain.h"
#include "tern/cpu/reference/contrastive_loss.h"
#include "tern/cpu/scratch.h"
#include "tern/cpu/triplet_stats.h"

namespace tern::cpu {
namespace {

template <class T>
void pair_forward(const Tensor& a, const Tensor& b, const Tensor& same, const HadsellPair& pair,
                  const Tensor& losses, const Tensor& slopes) {
  const int64_t d = a.size(1);
  const T *x = a.data<T>(), *y = b.data<T>();
  const bool* alike = same.data<bool>();
  double *loss = losses.mutable_data<double>(), *slope = slopes.mutable_data<double>();
  parallel_for(a.size(0), row_grain(d), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const double distance = std::sqrt(reference::squared_distance(x + i * d, y + i * d, d));
      loss[i] = pair.value(distance, alike[i]);
      slope[i] = pair.slope(distance, alike[i]);
    }
  });
}

template <class T>
void pair_backward(const Tensor& scale, const Tensor& slopes, const Tensor& a, const Tensor& b,
                   const Tensor& da, const Tensor& db) {
  const int64_t d = a.size(1);
  const double *w = scale.data<double>(), *slope = slopes.data<double>();
  const T *x = a.data<T>(), *y = b.data<T>();
  T *dx = da.mutable_data<T>(), *dy = db.mutable_data<T>();
  parallel_for(a.size(0), row_grain(d), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = i * d;
      reference::contrastive_gradient(x + at, y + at, d, w[i] * slope[i], dx + at, dy + at);
    }
  });
}

// What one row of pairs contributes to the statistics.
struct RowCounts {
  int64_t active = 0, near = 0;
  double sum_same = 0, sum_different = 0;
};

// Rows of pairs: row i has the pairs (i, j), j > i.
struct RowSizes {
  RowSizes(const int64_t* labels, int64_t n) : same(static_cast<size_t>(n)), different(same) {
    for (int64_t i = 0; i < n; ++i) {
      int64_t& alike = same[static_cast<size_t>(i)];
      for (int64_t j = i + 1; j < n; ++j) alike += labels[j] == labels[i];
      different[static_cast<size_t>(i)] = n - 1 - i - alike;
    }
  }
  std::vector<int64_t> same, different;
};

int64_t total(const std::vector<int64_t>& counts) {
  int64_t sum = 0;
  for (const int64_t count : counts) sum += count;
  return sum;
}

// distance: of the row's pairs. Writes their losses and slopes; parts: the distances by kind, for sampling.
RowCounts finish_row(const int64_t* labels, int64_t n, int64_t i, const HadsellPair& pair,
                     const double* distance, double* loss, double* slope, std::vector<double> (&parts)[2]) {
  RowCounts counts;
  parts[0].clear();
  parts[1].clear();
  for (int64_t k = 0; k < n - 1 - i; ++k) {
    const bool same = labels[i + 1 + k] == labels[i];
    loss[k] = pair.value(distance[k], same);
    slope[k] = pair.slope(distance[k], same);
    counts.active += loss[k] > 0;
    counts.near += !same && distance[k] < pair.margin;
    (same ? counts.sum_same : counts.sum_different) += distance[k];
    parts[same].push_back(distance[k]);
  }
  return counts;
}

template <class T>
BatchMeasures batch_forward(const Tensor& e, const Tensor& labels, const HadsellPair& pair,
                            const Tensor& losses, const Tensor& slopes) {
  const int64_t n = e.size(0), d = e.size(1);
  const T* x = e.data<T>();
  const int64_t* y = labels.data<int64_t>();
  double *loss = losses.mutable_data<double>(), *slope = slopes.mutable_data<double>();
  const RowSizes sizes(y, n);
  PairSample same_sample(sizes.same), different_sample(sizes.different);
  std::vector<RowCounts> rows(static_cast<size_t>(n));
  parallel_for(n, 1, [&](int64_t begin, int64_t end) {
    const Scratch<double> distance(n);
    std::vector<double> parts[2];
    for (int64_t i = begin; i < end; ++i) {
      reference::later_distances(x, n, d, i, distance.data());
      const int64_t first = pair_index(i, i + 1, n);
      rows[static_cast<size_t>(i)] =
          finish_row(y, n, i, pair, distance.data(), loss + first, slope + first, parts);
      different_sample.take(i, [&](int64_t k) { return parts[0][static_cast<size_t>(k)]; });
      same_sample.take(i, [&](int64_t k) { return parts[1][static_cast<size_t>(k)]; });
    }
  });
  BatchMeasures measures = zero_measures(n);
  double* values = measures.values.mutable_data<double>();
  values[kPositivePairs] = static_cast<double>(total(sizes.same));
  values[kNegativePairs] = static_cast<double>(total(sizes.different));
  values[kValid] = values[kTerms] = values[kPositivePairs] + values[kNegativePairs];
  for (const RowCounts& row : rows) {
    values[kActive] += static_cast<double>(row.active);
    values[kSemiHard] += static_cast<double>(row.near);
    values[kPositiveSum] += row.sum_same;
    values[kNegativeSum] += row.sum_different;
  }
  values[kSquares] = squares_to_mean(x, n, d);
  measures.d_ap = same_sample.values();
  measures.d_an = different_sample.values();
  return measures;
}

template <class T>
void batch_backward(const Tensor& scale, const Tensor& slopes, const Tensor& e, const Tensor& de) {
  const int64_t n = e.size(0), d = e.size(1);
  const double *w = scale.data<double>(), *slope = slopes.data<double>();
  const T* x = e.data<T>();
  T* dx = de.mutable_data<T>();
  parallel_for(n, 1, [&](int64_t begin, int64_t end) {
    const Scratch<double> sum(d);
    for (int64_t i = begin; i < end; ++i)
      reference::batch_contrastive_gradient(x, w, slope, n, d, i, sum.data(), dx + i * d);
  });
}

}  // namespace

void contrastive_forward(const Tensor& a, const Tensor& b, const Tensor& same,
                         const ContrastiveOptions& options, const Tensor& losses, const Tensor& slopes) {
  const HadsellPair pair{options.margin};
  if (a.dtype() == DType::F64) return pair_forward<double>(a, b, same, pair, losses, slopes);
  pair_forward<float>(a, b, same, pair, losses, slopes);
}

void contrastive_backward(const Tensor& scale, const Tensor& slopes, const Tensor& a, const Tensor& b,
                          const Tensor& da, const Tensor& db) {
  if (a.dtype() == DType::F64) return pair_backward<double>(scale, slopes, a, b, da, db);
  pair_backward<float>(scale, slopes, a, b, da, db);
}

BatchMeasures batch_contrastive_forward(const Tensor& e, const Tensor& labels,
                                        const ContrastiveOptions& options, const Tensor& losses,
                                        const Tensor& slopes) {
  const HadsellPair pair{options.margin};
  if (e.dtype() == DType::F64) return batch_forward<double>(e, labels, pair, losses, slopes);
  return batch_forward<float>(e, labels, pair, losses, slopes);
}

void batch_contrastive_backward(const Tensor& scale, const Tensor& slopes, const Tensor& e,
                                const Tensor& de) {
  if (e.dtype() == DType::F64) return batch_backward<double>(scale, slopes, e, de);
  batch_backward<float>(scale, slopes, e, de);
}

}  // namespace tern::cpu
