#pragma once
// The loops of the contrastive loss, in f64. They serve both types: the pair form is bound by memory, and the
// batch form's squares are direct sums so that near pairs carry no cancellation.

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "tern/cpu/reference/squared_distance.h"
#include "tern/ops/contrastive_formulas.h"
#include "tern/ops/contrastive_loss.h"

namespace tern::cpu::reference {

// Distances of row i to the rows i + 1 .. n - 1.
template <class T>
void later_distances(const T* e, int64_t n, int64_t d, int64_t i, double* out) {
  const T* mine = e + i * d;
  int64_t j = i + 1;
  for (; j + 4 <= n; j += 4) {
    const T* others[4] = {e + j * d, e + (j + 1) * d, e + (j + 2) * d, e + (j + 3) * d};
    squared_distances(mine, others, d, out + j - i - 1);
  }
  for (; j < n; ++j) out[j - i - 1] = squared_distance(mine, e + j * d, d);
  for (j = i + 1; j < n; ++j) out[j - i - 1] = std::sqrt(out[j - i - 1]);
}

// da = w (a - b), db = -da
template <class T>
void contrastive_gradient(const T* a, const T* b, int64_t d, double w, T* da, T* db) {
  for (int64_t k = 0; k < d; ++k) {
    da[k] = static_cast<T>(w * (static_cast<double>(a[k]) - static_cast<double>(b[k])));
    db[k] = -da[k];
  }
}

// de_i = sum_j c_ij (e_i - e_j), j ascending; c: scale times slope of each pair. sum: d values of working
// memory.
template <class T>
void batch_contrastive_gradient(const T* e, const double* scale, const double* slopes, int64_t n, int64_t d,
                                int64_t i, double* sum, T* de) {
  std::fill_n(sum, d, 0.0);
  for (int64_t j = 0; j < n; ++j) {
    if (j == i) continue;
    const int64_t at = pair_index(std::min(i, j), std::max(i, j), n);
    const double c = scale[at] * slopes[at];
    if (c == 0) continue;
    for (int64_t k = 0; k < d; ++k)
      sum[k] += c * (static_cast<double>(e[i * d + k]) - static_cast<double>(e[j * d + k]));
  }
  for (int64_t k = 0; k < d; ++k) de[k] = static_cast<T>(sum[k]);
}

}  // namespace tern::cpu::reference
