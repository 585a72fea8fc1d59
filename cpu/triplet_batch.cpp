#include "tern/cpu/triplet_batch.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tern/core/parallel.h"
#include "tern/cpu/exact_kernels.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/reference/squared_distance.h"
#include "tern/cpu/triplet_rules.h"

namespace tern::cpu {

const TripletKernels& triplet_kernels() {
  return isa_pick(
      []() -> auto& { return baseline::triplet_table; }, []() -> auto& { return avx2::triplet_table; },
      []() -> auto& { return avx512::triplet_table; });
}

const ExactKernels& exact_kernels() {
  return isa_pick(
      []() -> auto& { return baseline::exact_table; }, []() -> auto& { return avx2::exact_table; },
      []() -> auto& { return avx512::exact_table; });
}

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
  parallel_for((n + 3) / 4, 16, [&](int64_t begin, int64_t end) {
    const std::vector<float> origin(static_cast<size_t>(d), 0.0f);
    for (int64_t first = 4 * begin; first < std::min(n, 4 * end); first += 4) {
      const float* four[4];
      double squares[4];
      const int64_t last = std::min(n, first + 4);
      for (int64_t at = first; at < last; ++at) {
        const int64_t index = order[static_cast<size_t>(at)];
        position[static_cast<size_t>(index)] = at;
        std::copy_n(u + index * d, d, rows.data() + at * d);
      }
      for (int64_t k = 0; k < 4; ++k) four[k] = row(std::min(first + k, n - 1));
      triplet_kernels().squared_distances(origin.data(), four, d, squares);
      for (int64_t at = first; at < last; ++at) norms.data()[at] = static_cast<float>(squares[at - first]);
    }
  });
  for (int64_t at = 0; at < n; ++at) largest_norm = std::max(largest_norm, norms.data()[at]);
}

double SortedBatch::exact(int64_t a, int64_t b) const {
  return reference::squared_distance(row(a), row(b), d);
}

void SortedBatch::pack() { packed_.pack(rows.data(), d, true); }

SquaredTile::SquaredTile(const SortedBatch& batch)
    : batch_(batch),
      packed_(kMaxTileRows * kRowStride),
      squares_(kMaxTileRows * batch.padded),
      least_(kMaxTileRows * batch.padded / 4) {}

void SquaredTile::compute(int64_t first, int64_t rows) {
  const TripletKernels& kernels = triplet_kernels();
  const int64_t n = batch_.n, padded = batch_.padded;
  float* c[kMaxTileRows];
  for (int64_t r = 0; r < rows; ++r) c[r] = row(r).squares;
  multiply_tile(batch_.packed(), rows, packed_.data(), c, [&](int64_t k, int64_t depth, float* to) {
    gemm_kernels().pack_rows(batch_.row(first) + k, batch_.d, rows, depth, to);
  });
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t self = first + r;
    float* least = row(r).least;
    std::fill(c[r] + n, c[r] + padded, 0.0f);
    finite_[r] = kernels.gram_to_squared(c[r], batch_.norms.data(), batch_.norms.data()[self], padded, least);
    c[r][self] = 0;
    kernels.update_least(c[r], self, self + 1, least);
    std::fill(c[r] + n, c[r] + padded, kInfinity);
    kernels.update_least(c[r], n, padded, least);
  }
}

ExactTile::ExactTile(const SortedBatch& batch)
    : batch_(batch),
      stride_(batch.packed().panels * batch.packed().width),
      sums_((kMaxTileRows + 1) * stride_) {}

void ExactTile::compute(int64_t first, int64_t rows) {
  const ExactKernels& kernels = exact_kernels();
  const PackedB& b = batch_.packed();
  std::fill_n(sums_.data(), (rows + 1) * stride_, 0.0);
  for (int64_t block = 0; block < b.blocks.count; ++block)
    for (int64_t panel = 0; panel < b.panels; ++panel)
      for (int64_t r = 0; r < rows; r += 2) {  // a last one alone is paired with a row that is not asked for
        const float* const a[2] = {batch_.row(first + r) + b.blocks.begin(block),
                                   batch_.row(first + std::min(r + 1, rows - 1)) + b.blocks.begin(block)};
        double* const to[2] = {sums_.data() + r * stride_ + panel * b.width,
                               sums_.data() + (r + 1) * stride_ + panel * b.width};
        kernels.add_panel(a, b.panel(block, panel), b.blocks.size(block), to);
      }
  for (double* s = sums_.data(); s < sums_.data() + rows * stride_; ++s)
    *s = std::min(*s, reference::kLargestSquare);
}

}  // namespace tern::cpu
