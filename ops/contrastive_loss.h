#pragma once
// The contrastive loss: pairs of the same class attract, others repel up to a margin m.
//
//   d = |a - b|_2
//   l = 1/2 d^2               same         dl/da = a - b
//   l = 1/2 max(0, m - d)^2   different    dl/da = -(m - d) / d (a - b)   where 0 < d < m, else 0
//   dl/db = -dl/da
//
// The gradient of coincident points is 0; at d = m it is 0 from both sides. m is in the units of the
// embedding: 1 suits embeddings of length 1, which lie at most 2 apart. Other losses of this name leave out
// the 1/2 or use linear hinges, so the shape is an option with a name.
//
//   contrastive_loss         a[N,D] b[N,D] same[N]  -> [] or [N]      row i of a and b is pair i
//   batch_contrastive_loss   e[N,D] labels[N]       -> [] or [P]      all P = N (N - 1) / 2 pairs i < j,
//     same where labels agree; pair (i,j) is at pair_index(i, j, N), row by row.
//     de_i = sum_{j != i} c_ij (e_i - e_j),  c_ij = 1 or -max(0, m - d_ij) / d_ij
//
// Reduction: Mean over all pairs, MeanNonZero over those with a loss above 0, Sum, None. No pairs: loss 0.
// Distances are summed in f64, coordinates ascending, and gradients in f64, so every instruction set and
// number of threads gives the same bits. Nothing is normalised: pass l2_normalize(e) for unit embeddings.
//
// Cost: 3 N D forward, 2 N D backward; batch form 3/2 N^2 D and 3 N^2 D, with 8 P bytes kept for the
// gradient. Errors: ShapeError; DTypeError unless embeddings are f32 or f64 alike, same i64 or bool, labels
// i64; UsageError for a margin that is negative or not finite, or same that is neither 0 nor 1 (on a GPU,
// where nothing is read back, the loss of such a pair is NaN). NaN gives NaN. Source: Hadsell, Chopra, LeCun,
// Dimensionality Reduction by Learning an Invariant Mapping, CVPR 2006.

#include <cstdint>

#include "tern/core/tensor.h"
#include "tern/ops/batch_triplet_loss.h"
#include "tern/ops/reduction.h"

namespace tern {

enum class ContrastiveShape : uint8_t { Hadsell };

struct ContrastiveOptions {
  double margin = 1;
  Reduction reduction = Reduction::Mean;
  ContrastiveShape shape = ContrastiveShape::Hadsell;
};

// What the batch form saw.
struct ContrastiveStats {
  int64_t same = 0, different = 0;      // pairs
  int64_t active = 0;                   // pairs with a loss above 0
  int64_t near = 0;                     // different pairs inside the margin, coincident ones included
  DistanceSummary d_same, d_different;  // quantiles from at most TripletStats::kQuantileSamples pairs
  double pairwise_rms = 0;              // root mean square of d over all pairs: 0 when collapsed
  double spread = 0;                    // root mean square distance of e_i to their mean
};

struct BatchContrastiveResult {
  Tensor loss;
  BatchMeasures measures;  // on the device of the loss; kSemiHard: near
  ContrastiveStats stats() const;
};

HD constexpr int64_t pair_index(int64_t i, int64_t j, int64_t n) {
  return i * (2 * n - i - 1) / 2 + j - i - 1;
}

Tensor contrastive_loss(const Tensor& a, const Tensor& b, const Tensor& same,
                        ContrastiveOptions options = {});
BatchContrastiveResult batch_contrastive_loss(const Tensor& e, const Tensor& labels,
                                              ContrastiveOptions options = {});

namespace cpu {
// same: bool [N] (cu: or i64); losses, slopes: f64 [N], slopes (dl/dd) / d.
void contrastive_forward(const Tensor& a, const Tensor& b, const Tensor& same,
                         const ContrastiveOptions& options, const Tensor& losses, const Tensor& slopes);
// scale: f64 [N], dL/d(losses).
void contrastive_backward(const Tensor& scale, const Tensor& slopes, const Tensor& a, const Tensor& b,
                          const Tensor& da, const Tensor& db);
// losses, slopes, scale: f64 [P].
BatchMeasures batch_contrastive_forward(const Tensor& e, const Tensor& labels,
                                        const ContrastiveOptions& options, const Tensor& losses,
                                        const Tensor& slopes);
void batch_contrastive_backward(const Tensor& scale, const Tensor& slopes, const Tensor& e, const Tensor& de);
}  // namespace cpu
namespace cu {
void contrastive_forward(const Tensor& a, const Tensor& b, const Tensor& same,
                         const ContrastiveOptions& options, const Tensor& losses, const Tensor& slopes);
void contrastive_backward(const Tensor& scale, const Tensor& slopes, const Tensor& a, const Tensor& b,
                          const Tensor& da, const Tensor& db);
BatchMeasures batch_contrastive_forward(const Tensor& e, const Tensor& labels,
                                        const ContrastiveOptions& options, const Tensor& losses,
                                        const Tensor& slopes);
void batch_contrastive_backward(const Tensor& scale, const Tensor& slopes, const Tensor& e, const Tensor& de);
}  // namespace cu

}  // namespace tern
