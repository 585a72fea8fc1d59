#pragma once
// The triplet loss on given triplets: row i of a, p, n is one (anchor, positive, negative).
//
//   d(x,y) = |x - y + eps|_p          D = d, or d^2 with .squared
//   D_ap = D(a,p)   D_an = D(a,n)     with .swap:  D_an = min(D(a,n), D(p,n)), the harder of the two views
//   l = max(0, D_ap - D_an + margin)              dl/dgap = 1 where D_ap - D_an + margin > 0
//   l = log(1 + exp(D_ap - D_an)), .soft_margin   dl/dgap = 1 / (1 + exp(D_an - D_ap)); no margin here
//
//   da = l' (D_ap' - D_an')   dp = -l' D_ap'   dn = l' D_an'
//   With .swap and D(p,n) smaller: da = l' D_ap', dp = -l' (D_ap' + D_pn'), dn = l' D_pn'.
//   D' = dD/dx of ops/distance.h, times 2 d with .squared.
//
// eps = Exact: eps is 0 and the gradient of coincident points is 0. eps = Torch: 1e-6 is added to every
// coordinate of the difference as PyTorch does; then d(x,x) = 1e-6 D^(1/p) and its gradient is 1/sqrt(D)
// everywhere (p = 2), and equal distances under .swap share the gradient half and half. At D_ap - D_an +
// margin = 0 the gradient is 0 (PyTorch up to 2.12 passes it). Reduction: Mean over all N, MeanNonZero over
// those above 0, Sum, None gives [N]. N = 0: loss 0.
//
// Shapes: a, p, n [N,D] -> [] or [N]. Cost: 3 passes over the inputs forward, 6 backward. Errors: ShapeError,
// DTypeError unless all are f32 or all f64, UsageError for p < 1 or a margin that is negative or not finite.
// Source: Balntas et al. 2016; torch.nn.functional.triplet_margin_loss; Hermans 2017 for the soft margin.

#include "tern/core/tensor.h"
#include "tern/ops/reduction.h"

namespace tern {

enum class TripletEps : uint8_t { Exact, Torch };

struct TripletMarginOptions {
  double margin = 1;
  double p = 2;  // 1 <= p <= infinity
  bool swap = false;
  bool squared = false;
  bool soft_margin = false;
  Reduction reduction = Reduction::Mean;
  TripletEps eps = TripletEps::Exact;
  double added() const { return eps == TripletEps::Torch ? 1e-6 : 0.0; }  // to every coordinate
};

Tensor triplet_margin_loss(const Tensor& a, const Tensor& p, const Tensor& n,
                           TripletMarginOptions options = {});

namespace cpu {
// losses: f64 [N], one per triplet.
void triplet_margin_forward(const Tensor& a, const Tensor& p, const Tensor& n,
                            const TripletMarginOptions& options, const Tensor& losses);
// scale: f64 [N], dL/d(losses).
void triplet_margin_backward(const Tensor& scale, const Tensor& a, const Tensor& p, const Tensor& n,
                             const TripletMarginOptions& options, const Tensor& da, const Tensor& dp,
                             const Tensor& dn);
}  // namespace cpu
namespace cu {
void triplet_margin_forward(const Tensor& a, const Tensor& p, const Tensor& n,
                            const TripletMarginOptions& options, const Tensor& losses);
void triplet_margin_backward(const Tensor& scale, const Tensor& a, const Tensor& p, const Tensor& n,
                             const TripletMarginOptions& options, const Tensor& da, const Tensor& dp,
                             const Tensor& dn);
}  // namespace cu

}  // namespace tern
