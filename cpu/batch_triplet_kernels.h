#pragma once
// Vector kernels of the batch triplet loss: passes over one anchor's row of distances. Rows hold a multiple
// of kRowQuantum floats; what must not count (the anchor's own class, the padding) is +infinity.

#include <cstdint>

namespace tern::cpu {

inline constexpr int64_t kRowQuantum = 64;
// The coefficients of all triplets lie in square blocks of kRowQuantum rows, [block of rows][block of
// columns][row][column]: the gradient reads the matrix and its transpose, and a column of a large matrix lies
// on as many pages as it has rows. What is beyond N is 0.
inline constexpr int64_t kCoefficientBlock = kRowQuantum * kRowQuantum;

enum class RowMetric : uint8_t { Euclidean, SquaredEuclidean, Cosine };

// One anchor against all its positives and negatives.
struct TripletStream {
  const float* negatives;  // [n] d_an
  int64_t n;
  const float* positives;  // [count] d_ap
  int64_t count;
  float margin;
  bool soft;
  // Out: the sums of the terms' slopes for each positive and negative, and over the row the sum of the terms
  // and how many are active, hard, semi-hard.
  float* positive_slope;  // [count]
  float* negative_slope;  // [n]
  double loss = 0;
  int64_t active = 0, hard = 0, semi_hard = 0;
};

struct TripletKernels {
  // g_j = u . u_j becomes s_j = norm + norms_j - 2 g_j; returns whether all are finite. least[n / 4]: minima
  // of four elements each, in an order of their own: minimum and collect find with a quarter of the work what
  // may lie low enough.
  bool (*gram_to_squared)(float* row, const float* norms, float norm, int64_t n, float* least);
  // Makes the minima again that row[begin, end) takes part in.
  void (*update_least)(const float* row, int64_t begin, int64_t end, float* least);
  // The smallest of all, from their minima.
  float (*minimum)(const float* least, int64_t n);
  // The largest finite one, or -infinity.
  float (*max_finite)(const float* row, int64_t n);
  // out_j = floor((row_j - lowest) * scale) within [0, buckets), or buckets for +infinity.
  void (*bucket_indices)(const float* row, float lowest, float scale, int64_t buckets, int64_t n,
                         int32_t* out);
  // out_i = sum (a - b_i)^2 of four rows in f64, in the order that is fastest here.
  void (*squared_distances)(const float* a, const float* const b[4], int64_t d, double out[4]);
  // The sum of the finite ones.
  double (*sum_finite)(const float* row, int64_t n);
  // counts[b] = how many of the block row[b * kRowQuantum ...] are <= low; returns how many of the row are
  // above low and <= high.
  int64_t (*count_blocks)(const float* row, float low, float high, int64_t n, int32_t* counts);
  // Writes the j with low < row_j <= high, ascending; returns how many. out has room for n. least: or null.
  int64_t (*collect)(const float* row, const float* least, float low, float high, int64_t n, int32_t* out);
  // Squared distances (negative by rounding: 0) become distances.
  void (*to_distance)(float* row, RowMetric metric, int64_t n);
  void (*triplet_stream)(TripletStream& row);
  // out_j = -slope_j g(d_j): g = 1 / d (0 at 0), 2 or 1; one row of coefficients, in blocks from out on.
  void (*negative_coefficients)(const float* d, const float* slope, RowMetric metric, int64_t n, float* out);
  // A block of rows of S = diag(w) C + (diag(w) C)^T, to[kRowQuantum][blocks * kRowQuantum], and their sums.
  void (*symmetric_rows)(const float* c, const float* w, int64_t blocks, int64_t block, float* to,
                         double* sums);
  // out = sum_t c_t (u - u_{j_t}) over rows of stride floats; d values are written.
  void (*pull)(const float* u, const float* rows, int64_t stride, const int32_t* j, const float* c,
               int64_t count, int64_t d, float* out);
};

const TripletKernels& triplet_kernels();

namespace baseline {
extern const TripletKernels triplet_table;
}
namespace avx2 {
extern const TripletKernels triplet_table;
}
namespace avx512 {
extern const TripletKernels triplet_table;
}

}  // namespace tern::cpu
