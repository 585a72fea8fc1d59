#pragma once
// One coordinate of the p-norm distances of ops/distance.h, and one triplet on them: shared by the loops of
// the CPU and the kernels of a GPU.

#include "tern/ops/math_pow.h"
#include "tern/ops/triplet_formulas.h"
#include "tern/ops/triplet_margin_loss.h"

namespace tern {

// dd/dz of d = |z|_p > 0 at one coordinate z. deciding: for p = infinity, how many coordinates have |z| = d.
HD double norm_slope(double z, double d, double p, double deciding) {
  const double sign = z > 0 ? 1.0 : z < 0 ? -1.0 : z, size = math::abs(z);
  if (p == 2) return z * (d > 1e-300 ? 1 / d : 1e300);
  if (p == 1) return sign;
  if (p == __builtin_inf()) return size == d ? sign / deciding : 0;
  return sign * math::pow(size / d, p - 1);
}

// The distances of a triplet, its loss and slope. share: how much of the negative's gradient the pair (p, n)
// takes; d_pn counts with .swap only.
struct TripletMarginTerm {
  HD TripletMarginTerm(double d_ap, double d_an, double d_pn, const TripletMarginOptions& o)
      : d_ap(d_ap), d_an(d_an), d_pn(d_pn) {
    double nearest = d_an;
    if (o.swap) {
      if (d_pn == d_an && o.eps == TripletEps::Torch) share = 0.5;
      if (d_pn < d_an) share = 1, nearest = d_pn;
    }
    const double gap = o.squared ? d_ap * d_ap - nearest * nearest : d_ap - nearest;
    const TripletHinge hinge{o.margin};
    loss = o.soft_margin ? TripletSoft{}.value(gap) : hinge.value(gap);
    slope = o.soft_margin ? TripletSoft{}.slope(gap) : hinge.slope(gap);
  }
  double d_ap, d_an, d_pn, share = 0, loss, slope;
};

}  // namespace tern
