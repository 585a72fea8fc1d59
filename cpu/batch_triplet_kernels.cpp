#include "tern/cpu/batch_triplet_kernels.h"

#include "tern/cpu/transpose.h"
#include "tern/cpu/vec.h"
#include "tern/ops/triplet_formulas.h"

namespace tern::cpu::TERN_ISA {
namespace {

using V = Vec<float>;
using Raw = V::Raw;
using M = V::Mask;
constexpr int kLanes = V::kLanes;

TERN_INLINE V infinity() { return V(__builtin_inff()); }

TERN_INLINE float min_lanes(V a) {
  float lane[kLanes];
  a.store(lane);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lane[i] = lane[i] < lane[i + half] ? lane[i] : lane[i + half];
  return lane[0];
}

TERN_INLINE int64_t sum_counts(M a) {
  int64_t sum = 0;
  for (int i = 0; i < kLanes; ++i) sum += a[i];
  return sum;
}

TERN_INLINE bool any(M mask) {
  typedef int64_t Wide __attribute__((vector_size(kVectorBytes)));
  const Wide w = (Wide)mask;
  int64_t all = 0;
  for (int i = 0; i < kLanes / 2; ++i) all |= w[i];
  return all != 0;
}

// Minima lie in groups of kGroup elements of the row: lane by lane that of four vectors.
constexpr int kGroup = 4 * kLanes;

bool gram_to_squared(float* row, const float* norms, float norm, int64_t n, float* least) {
  M bad{};
  for (int64_t j = 0; j < n; j += kGroup, least += kLanes) {
    V smallest = infinity();
#pragma GCC unroll 4
    for (int64_t i = j; i < j + kGroup; i += kLanes) {
      const V x = (V(norm) + V::load(norms + i)) - V(2) * V::load(row + i);
      x.store(row + i);
      smallest = min(x, smallest);
      bad |= (x - x) != V(0);
    }
    smallest.store(least);
  }
  return !any(bad);
}

void update_least(const float* row, int64_t begin, int64_t end, float* least) {
  for (int64_t j = begin / kGroup * kGroup; j < end; j += kGroup) {
    V smallest = infinity();
    for (int64_t i = j; i < j + kGroup; i += kLanes) smallest = min(V::load(row + i), smallest);
    smallest.store(least + j / 4);
  }
}

float minimum(const float* least, int64_t n) {
  V smallest = infinity();
  for (int64_t j = 0; j < n / 4; j += kLanes) smallest = min(V::load(least + j), smallest);
  return min_lanes(smallest);
}

float max_finite(const float* row, int64_t n) {
  V least = infinity();  // of the negated
  for (int64_t j = 0; j < n; j += kLanes) {
    const V x = V::load(row + j);
    least = min(select(x < infinity(), -x, infinity()), least);
  }
  return -min_lanes(least);
}

void bucket_indices(const float* row, float lowest, float scale, int64_t buckets, int64_t n, int32_t* out) {
  const V last(static_cast<float>(buckets - 1));
  for (int64_t j = 0; j < n; j += kLanes) {
    const V x = V::load(row + j);
    V at = (x - V(lowest)) * V(scale);
    at = select(at > V(0), at, V(0));
    at = select(at < last, at, last);
    at = select(x < infinity(), at, V(static_cast<float>(buckets)));
    *reinterpret_cast<Vec<int32_t>::Unaligned*>(out + j) = __builtin_convertvector(at.v, Vec<int32_t>::Raw);
  }
}

void squared_distances(const float* a, const float* const b[4], int64_t d, double out[4]) {
  using W = Vec<double>;
  W sum[4][2];
  for (int i = 0; i < 4; ++i) sum[i][0] = sum[i][1] = W(0.0);
  int64_t k = 0;
  for (; k + kLanes <= d; k += kLanes) {
    const Widened x = widen(V::load(a + k));
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const Widened y = widen(V::load(b[i] + k));
      const W z0 = x.half[0] - y.half[0], z1 = x.half[1] - y.half[1];
      sum[i][0] = multiply_add(z0, z0, sum[i][0]);
      sum[i][1] = multiply_add(z1, z1, sum[i][1]);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    double rest = 0;
    for (int64_t j = k; j < d; ++j) {
      const double z = static_cast<double>(a[j]) - static_cast<double>(b[i][j]);
      rest += z * z;
    }
    out[i] = sum_lanes(sum[i][0] + sum[i][1]) + rest;
  }
}

double sum_finite(const float* row, int64_t n) {
  V sum(0);
  for (int64_t j = 0; j < n; j += kLanes) {
    const V x = V::load(row + j);
    sum += select(x < infinity(), x, V(0));
  }
  return static_cast<double>(sum_lanes(sum));
}

int64_t count_blocks(const float* row, float low, float high, int64_t n, int32_t* counts) {
  M between{};
  for (int64_t j = 0; j < n; j += kRowQuantum) {
    M below{};
    for (int64_t i = j; i < j + kRowQuantum; i += kLanes) {
      const V x = V::load(row + i);
      const M in = x <= V(low);
      below -= in;
      between -= (x <= V(high)) & ~in;
    }
    *counts++ = static_cast<int32_t>(sum_counts(below));
  }
  return sum_counts(between);
}

int64_t collect(const float* row, const float* least, float low, float high, int64_t n, int32_t* out) {
  const auto may_hold = [&](int64_t begin, int64_t end) __attribute__((always_inline)) {
    M found{};
    for (int64_t j = begin; j < end; j += kGroup) found |= V::load(least + j / 4) <= V(high);
    return any(found);
  };
  constexpr int64_t kLook = 8 * kGroup;  // looked at together first
  int64_t count = 0;
  for (int64_t begin = 0; begin < n; begin += kLook) {
    const int64_t end = begin + kLook < n ? begin + kLook : n;
    if (least && !may_hold(begin, end)) continue;
    for (int64_t j = begin; j < end; j += kGroup) {
      if (least && !may_hold(j, j + kGroup)) continue;
      for (int64_t first = j; first < j + kGroup; first += kLanes) {
        const V x = V::load(row + first);
        if (!any((x > V(low)) & (x <= V(high)))) continue;
        for (int64_t i = first; i < first + kLanes; ++i) {
          out[count] = static_cast<int32_t>(i);
          count += row[i] > low && row[i] <= high;
        }
      }
    }
  }
  return count;
}

void to_distance(float* row, RowMetric metric, int64_t n) {
  for (int64_t j = 0; j < n; j += kLanes) {
    V s = V::load(row + j);
    s = select(s < V(0), V(0), s);  // NaN passes
    if (metric == RowMetric::Euclidean) s = sqrt(s);
    if (metric == RowMetric::Cosine) s = s * V(0.5f);
    s.store(row + j);
  }
}

// kBlock positives at a time stream over the negatives: the counts of the positives stay in registers, those
// of the negatives, integers until hinge_loss, pass through once per block. Missing positives are -infinity,
// nearer than every negative.
template <int kBlock>
TERN_INLINE void hinge_block(TripletStream& r, int64_t first) {
  V d_ap[kBlock];
  M active[kBlock], hard{};
  for (int b = 0; b < kBlock; ++b) {
    d_ap[b] = first + b < r.count ? V(r.positives[first + b]) : V(0) - infinity();
    active[b] = M{};
  }
  const V margin(r.margin);
  for (int64_t j = 0; j < r.n; j += kLanes) {
    const V d_an = V::load(r.negatives + j);
    const V reach = d_an - margin;
    M count = bits_of(V::load(r.negative_slope + j));
    for (int b = 0; b < kBlock; ++b) {
      const M on = d_ap[b] > reach;
      active[b] = on ? active[b] + 1 : active[b];
      count = on ? count + 1 : count;
      hard = d_an <= d_ap[b] ? hard + 1 : hard;
    }
    from_bits(d_an, count).store(r.negative_slope + j);
  }
  r.hard += sum_counts(hard);
  for (int b = 0; b < kBlock && first + b < r.count; ++b) {
    const int64_t count = sum_counts(active[b]);
    r.positive_slope[first + b] = static_cast<float>(count);
    r.active += count;
  }
}

// The sum of d_ap - (d_an - m) over the active pairs: each distance as often as it is in one. The negatives'
// counts become their slopes.
double hinge_loss(TripletStream& r) {
  double sum = 0;
  for (int64_t i = 0; i < r.count; ++i)
    sum += static_cast<double>(r.positives[i]) * static_cast<double>(r.positive_slope[i]);
  Vec<double> reached[2] = {Vec<double>(0.0), Vec<double>(0.0)};
  for (int64_t j = 0; j < r.n; j += kLanes) {
    const V slope = from_int(V(0), bits_of(V::load(r.negative_slope + j)));
    const V reach = V::load(r.negatives + j) - V(r.margin);
    slope.store(r.negative_slope + j);
    const Widened times = widen(slope), d = widen(select(slope > V(0), reach, V(0)));
    for (int h = 0; h < 2; ++h) reached[h] = multiply_add(times.half[h], d.half[h], reached[h]);
  }
  sum -= sum_lanes(reached[0] + reached[1]);
  return sum > 0 ? sum : 0;
}

void soft_positive(TripletStream& r, int64_t i) {
  const TripletSoft soft;
  const V d_ap(r.positives[i]), reach(r.positives[i] + r.margin);
  V sum(0), slopes(0);
  M active{}, hard{}, inside{};
  for (int64_t j = 0; j < r.n; j += kLanes) {
    const V d_an = V::load(r.negatives + j);
    const M real = d_an < infinity();
    const V gap = select(real, d_ap - d_an, V(-1e30f));
    const V value = select(real, soft.value(gap), V(0));
    const V slope = select(real, soft.slope(gap), V(0));
    sum += value;
    slopes += slope;
    active -= value > V(0);
    hard -= d_an <= d_ap;
    inside -= d_an < reach;
    (V::load(r.negative_slope + j) + slope).store(r.negative_slope + j);
  }
  r.loss += static_cast<double>(sum_lanes(sum));
  r.positive_slope[i] = sum_lanes(slopes);
  r.active += sum_counts(active);
  r.hard += sum_counts(hard);
  r.semi_hard += sum_counts(inside) - sum_counts(hard);
}

void triplet_stream(TripletStream& r) {
  constexpr int kBlock = kVectorBytes == 64 ? 8 : 4;
  for (int64_t j = 0; j < r.n; j += kLanes) V(0).store(r.negative_slope + j);
  r.active = r.hard = r.semi_hard = 0;
  r.loss = 0;
  if (r.soft) {
    for (int64_t i = 0; i < r.count; ++i) soft_positive(r, i);
    return;
  }
  for (int64_t i = 0; i < r.count; i += kBlock) hinge_block<kBlock>(r, i);
  r.semi_hard = r.active - r.hard;
  r.loss = hinge_loss(r);
}

template <RowMetric kMetric>
TERN_INLINE void negative_coefficients_of(const float* d, const float* slope, int64_t n, float* out) {
  const V factor(kMetric == RowMetric::SquaredEuclidean ? -2.0f : -1.0f);
  for (int64_t j = 0; j < n; j += kRowQuantum, out += kCoefficientBlock)
    for (int64_t i = 0; i < kRowQuantum; i += kLanes) {
      V c = factor * V::load(slope + j + i);
      if (kMetric == RowMetric::Euclidean) {
        const V x = V::load(d + j + i);
        c = select(x > V(0), c / x, V(0));
      }
      c.store(out + i);
    }
}
void negative_coefficients(const float* d, const float* slope, RowMetric metric, int64_t n, float* out) {
  if (metric == RowMetric::Euclidean) negative_coefficients_of<RowMetric::Euclidean>(d, slope, n, out);
  else if (metric == RowMetric::Cosine) negative_coefficients_of<RowMetric::Cosine>(d, slope, n, out);
  else negative_coefficients_of<RowMetric::SquaredEuclidean>(d, slope, n, out);
}

// Squares of kLanes x kLanes of C are turned in registers, so that both sides move in whole vectors.
void symmetric_rows(const float* c, const float* w, int64_t blocks, int64_t block, float* to, double* sums) {
  const int64_t stride = blocks * kRowQuantum;
  const float* w_rows = w + block * kRowQuantum;
  V sum[kRowQuantum];
  for (int64_t r = 0; r < kRowQuantum; ++r) sum[r] = V(0);
  for (int64_t b = 0; b < blocks; ++b) {
    const float* rows = c + (block * blocks + b) * kCoefficientBlock;
    const float* columns = c + (b * blocks + block) * kCoefficientBlock;
    for (int64_t r = 0; r < kRowQuantum; r += kLanes)
      for (int64_t j = 0; j < kRowQuantum; j += kLanes) {
        Raw square[kLanes];
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) square[i] = V::load(columns + (j + i) * kRowQuantum + r).v;
        transpose_square(square);
        const V weight = V::load(w + b * kRowQuantum + j);
#pragma GCC unroll 16
        for (int y = 0; y < kLanes; ++y) {
          const V mine = V(w_rows[r + y]) * V::load(rows + (r + y) * kRowQuantum + j);
          const V s = multiply_add(weight, V(square[y]), mine);
          s.store(to + (r + y) * stride + b * kRowQuantum + j);
          sum[r + y] += s;
        }
      }
  }
  for (int64_t r = 0; r < kRowQuantum; ++r) sums[r] = static_cast<double>(sum_lanes(sum[r]));
}

void pull(const float* u, const float* rows, int64_t stride, const int32_t* j, const float* c, int64_t count,
          int64_t d, float* out) {
  constexpr int kBlock = 4;
  int64_t k = 0;
  for (; k + kBlock * kLanes <= d; k += kBlock * kLanes) {
    V sum[kBlock], mine[kBlock];
    for (int b = 0; b < kBlock; ++b) sum[b] = V(0), mine[b] = V::load(u + k + b * kLanes);
    for (int64_t t = 0; t < count; ++t) {
      const float* other = rows + j[t] * stride + k;
      for (int b = 0; b < kBlock; ++b)
        sum[b] = multiply_add(V(c[t]), mine[b] - V::load(other + b * kLanes), sum[b]);
    }
    for (int b = 0; b < kBlock; ++b) sum[b].store(out + k + b * kLanes);
  }
  for (; k < d; k += kLanes) {
    const int64_t left = d - k;
    const bool whole = left >= kLanes;
    const V mine = whole ? V::load(u + k) : V::load_partial(u + k, left);
    V sum(0);
    for (int64_t t = 0; t < count; ++t) {
      const float* other = rows + j[t] * stride + k;
      sum = multiply_add(V(c[t]), mine - (whole ? V::load(other) : V::load_partial(other, left)), sum);
    }
    if (whole) sum.store(out + k);
    else sum.store_partial(out + k, left);
  }
}

}  // namespace

constinit const TripletKernels triplet_table = {.gram_to_squared = gram_to_squared,
                                                .update_least = update_least,
                                                .minimum = minimum,
                                                .max_finite = max_finite,
                                                .bucket_indices = bucket_indices,
                                                .squared_distances = squared_distances,
                                                .sum_finite = sum_finite,
                                                .count_blocks = count_blocks,
                                                .collect = collect,
                                                .to_distance = to_distance,
                                                .triplet_stream = triplet_stream,
                                                .negative_coefficients = negative_coefficients,
                                                .symmetric_rows = symmetric_rows,
                                                .pull = pull};

}  // namespace tern::cpu::TERN_ISA
