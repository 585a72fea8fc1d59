#pragma once
// The triplet loss on a labelled batch: the op finds its own triplets.
//
// For embeddings u_1 .. u_N (rows of e, normalised to length 1 unless .normalize = false) with labels y, let
// d_ij be the distance of u_i and u_j, m the margin, and for an anchor a
//   P(a) = { p != a : y_p = y_a }       N(a) = { n : y_n != y_a }.
// The rule chooses the terms (a, p, n), p in P(a), n in N(a):
//   BatchAll            every (a, p, n)
//   BatchHard          [Hermans]    one per anchor:  p = argmax P d_ap,  n = argmin N d_an
//   SemiHard           [FaceNet]    one per (a, p):  n = argmin { d_an : d_an > d_ap }, if d_an < d_ap + m
//   SemiHardOrHardest  [TF Addons]  one per (a, p):  n = argmin { d_an : d_an > d_ap }, if none argmax N d_an
//   RandomViolator     [facenet]    one per (a, p), a < p:  n uniform over { n : d_an < d_ap + m }
//   EasyPositive       [Xuan]       one per anchor:  p = argmin P d_ap,  n = argmin { d_an : d_an > d_ap }
//   DistanceWeighted   [Wu]         one per (a, p):  n drawn with weight w(|u_a - u_n|), needs .normalize
//                       w(d) = r^(2-D) (1 - r^2/4)^((3-D)/2), r = max(d, 0.5), and 0 for d >= 1.4
// All inequalities are strict, equals go to the lowest index, and what has no candidate gives no term.
//
//   loss of a term   l = max(0, x),  x = d_ap - d_an + m;     .soft_margin:  l = log(1 + exp(d_ap - d_an))
//   gradient         c_ij = sum of dl/dx over terms with (a,p) = (i,j), minus the same for (a,n) = (i,j)
//                    g(d) = 1/d, 0 at d = 0 (Euclidean); 2 (Squared); 1 (Cosine);   S = (c g) + (c g)^T
//                    du_i = sum_j S_ij (u_i - u_j) = (rowsum(S)_i) u_i - (S u)_i
//   hinge at x = 0   inactive, gradient 0
//   reduction        Mean divides by the number of terms, MeanNonZero by those above 0, Sum by 1; None
//                    gives [N], the sum per anchor. Default: MeanNonZero for BatchAll, else Mean.
//                    No terms: loss 0, gradient 0.
//   Cosine           d = 1 - u_i . u_j = |u_i - u_j|^2 / 2; always normalises.
//
// Gram proposes, direct differences decide: |u_i|^2 + |u_j|^2 - 2 u_i . u_j ranks the candidates; all within
// its rounding error of the best are compared by sum_k (u_ik - u_jk)^2 in f64, k ascending. So the same
// embedding bits give the same triplets on every instruction set and number of threads, and the distances of
// chosen and of nearly coincident pairs carry no cancellation. BatchAll never lists triplets: each positive
// streams over the row of negatives, and only counts are kept.
//
// Shapes: e[N,D], labels i64 [N] -> loss [] or [N]. Cost: 2 N^2 D flops for the Gram matrix, N P N for
// BatchAll, P N per anchor for the rules per pair; BatchAll keeps one [N,N] matrix for its gradient, the
// others the list of terms. Errors: ShapeError, DTypeError (f32 or f64, labels i64), UsageError for a
// negative or non-finite margin. An embedding that is not finite makes loss and gradient NaN. Source: Schroff
// 2015 (FaceNet), Hermans 2017, Wu 2017, Xuan 2020; table of the field's variants in docs/design.md.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "tern/core/tensor.h"
#include "tern/ops/batch_measures.h"
#include "tern/ops/distance.h"
#include "tern/ops/reduction.h"

namespace tern {

enum class Mining : uint8_t {
  BatchAll,
  BatchHard,
  SemiHard,
  SemiHardOrHardest,
  RandomViolator,
  EasyPositive,
  DistanceWeighted
};
std::string_view to_string(Mining mining);

struct BatchTripletOptions {
  Mining mining = Mining::BatchAll;
  double margin = 0.2;
  Distance distance = Distance::Euclidean;
  bool normalize = true;
  bool soft_margin = false;              // the margin then only bounds what SemiHard and RandomViolator mine
  std::optional<Reduction> reduction{};  // default: MeanNonZero for BatchAll, else Mean
  uint64_t seed = 0;                     // with step, the address of the random rules' draws
  uint64_t step = 0;                     // of training; n more in a recording replayed n steps later
};

struct BatchTripletResult {
  Tensor loss;
  BatchMeasures measures;  // on the device of the loss
  TripletStats stats() const { return measures.stats(); }
};

// The terms of a mining rule, ordered by anchor, then positive. BatchAll: all triplets, for small batches
// only.
struct MinedTriplets {
  std::vector<int64_t> anchor, positive, negative;
  int64_t size() const { return static_cast<int64_t>(anchor.size()); }
};

BatchTripletResult batch_triplet_loss(const Tensor& e, const Tensor& labels,
                                      BatchTripletOptions options = {});
MinedTriplets mine_triplets(const Tensor& e, const Tensor& labels, BatchTripletOptions options = {});

// ---- what a backend provides ----

struct BatchTripletGeometry {
  int64_t n = 0, d = 0;
  BatchTripletOptions options;
  bool need_gradient = false;
};

// What the forward pass finds. On the CPU mined rules fill triplets and slopes, and BatchAll coefficients; on
// a GPU, where the number of terms must not be read back, every rule fills coefficients.
struct BatchTripletTerms {
  Tensor anchor_sums;   // f64 [N]: sum of the terms of each anchor
  Tensor triplets;      // i64 [T,3]: anchor, positive, negative
  Tensor slopes;        // f64 [T,2]: dl/dx g(d_ap), dl/dx g(d_an)
  Tensor coefficients;  // [N,N] of the embedding's type: c g, row = anchor, rows and columns in this order
                        // (the CPU's vector kernels: in square blocks, cpu/batch_triplet_kernels.h):
  Tensor order;         // i64 [N]: a permutation of the samples; undefined: theirs
  BatchMeasures measures;
};

namespace cpu {
BatchTripletTerms batch_triplet_forward(const BatchTripletGeometry& geometry, const Tensor& u,
                                        const Tensor& labels);
// The terms of a mining rule, i64 [T,3] on the CPU.
Tensor batch_triplet_mine(const BatchTripletGeometry& geometry, const Tensor& u, const Tensor& labels);
// du from scale, f64 [N]: dL/d(anchor sum).
void batch_triplet_backward(const BatchTripletGeometry& geometry, const Tensor& u,
                            const BatchTripletTerms& terms, const Tensor& scale, const Tensor& du);
}  // namespace cpu
namespace cu {
BatchTripletTerms batch_triplet_forward(const BatchTripletGeometry& geometry, const Tensor& u,
                                        const Tensor& labels);
Tensor batch_triplet_mine(const BatchTripletGeometry& geometry, const Tensor& u, const Tensor& labels);
void batch_triplet_backward(const BatchTripletGeometry& geometry, const Tensor& u,
                            const BatchTripletTerms& terms, const Tensor& scale, const Tensor& du);
}  // namespace cu

}  // namespace tern
