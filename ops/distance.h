#pragma once
// Distances between embeddings.
//
//   pairwise_distance   a[N,D] b[N,D] -> d[N]        d_i = |a_i - b_i + eps|_p
//     p = 2:      sqrt(sum_k z_k^2)      dd/dz_k = z_k / d
//     p = inf:    max_k |z_k|            dd/dz_k = sign(z_k) where it decides (the lowest k of equals)
//     else:       (sum_k |z_k|^p)^(1/p)  dd/dz_k = sign(z_k) (|z_k| / d)^(p-1)
//     da = dd/dz, db = -dd/dz, both 0 where d = 0. eps (PyTorch's 1e-6) is added to every coordinate;
//     default 0.
//
//   cdist               a[N,D] b[M,D] -> d[N,M]
//     Euclidean          d_ij = |a_i - b_j|        da_i = sum_j g_ij (a_i - b_j) / d_ij, 0 where d_ij = 0
//     SquaredEuclidean   d_ij = |a_i - b_j|^2      da_i = sum_j 2 g_ij (a_i - b_j)
//     Cosine             d_ij = 1 - u_i . v_j      u, v = l2_normalize(a), (b); gradient through u, v
//
// cdist takes |a|^2 + |b|^2 - 2 a . b from a matrix product and computes pairs with d^2 < 1e-3 (|a|^2 +
// |b|^2), which cancellation would spoil, directly in f64: coincident points are at exactly 0 (PyTorch's
// cdist puts duplicates on the unit sphere at up to 9e-4). pairwise_distance sums in f64. Cosine is |u - v|^2
// / 2 for rows that have a direction; a zero row has cosine distance 1 to everything.
//
// Cost: 3 N D flops; 2 N M D forward, 4 N M D backward. Errors: ShapeError unless the shapes agree,
// DTypeError unless both are f32 or both f64, UsageError for p < 1 or eps < 0. Source:
// torch.nn.functional.pairwise_distance, torch.cdist.

#include <cstdint>
#include <string_view>

#include "tern/core/tensor.h"

namespace tern {

enum class Distance : uint8_t { Euclidean, SquaredEuclidean, Cosine };

constexpr std::string_view to_string(Distance distance) {
  switch (distance) {
    case Distance::Euclidean: return "euclidean";
    case Distance::SquaredEuclidean: return "squared_euclidean";
    case Distance::Cosine: return "cosine";
  }
  return "?";
}

struct PairwiseDistanceOptions {
  double p = 2;    // 1 <= p <= infinity
  double eps = 0;  // added to every coordinate of a - b
};

struct CdistOptions {
  Distance distance = Distance::Euclidean;
};

Tensor pairwise_distance(const Tensor& a, const Tensor& b, PairwiseDistanceOptions options = {});
Tensor cdist(const Tensor& a, const Tensor& b, CdistOptions options = {});

namespace cpu {
void pairwise_distance_forward(const Tensor& a, const Tensor& b, PairwiseDistanceOptions options,
                               const Tensor& d);
// da_i = dy_i dd_i/da_i, db = -da.
void pairwise_distance_backward(const Tensor& dy, const Tensor& a, const Tensor& b,
                                PairwiseDistanceOptions options, const Tensor& da, const Tensor& db);
// Cosine: of normalised rows; a row of zeros adds 1/2 to its distances, which makes them 1.
void cdist_forward(const Tensor& a, const Tensor& b, Distance distance, const Tensor& d);
// da_i = sum_j dy_ij g(d_ij) (a_i - b_j); with transposed, dy and d are [M,N]: the gradient of the other
// side.
void cdist_backward(const Tensor& dy, const Tensor& a, const Tensor& b, const Tensor& d, Distance distance,
                    bool transposed, const Tensor& da);
}  // namespace cpu
namespace cu {
void pairwise_distance_forward(const Tensor& a, const Tensor& b, PairwiseDistanceOptions options,
                               const Tensor& d);
void pairwise_distance_backward(const Tensor& dy, const Tensor& a, const Tensor& b,
                                PairwiseDistanceOptions options, const Tensor& da, const Tensor& db);
void cdist_forward(const Tensor& a, const Tensor& b, Distance distance, const Tensor& d);
void cdist_backward(const Tensor& dy, const Tensor& a, const Tensor& b, const Tensor& d, Distance distance,
                    bool transposed, const Tensor& da);
}  // namespace cu

}  // namespace tern
