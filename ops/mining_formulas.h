#pragma once
// The numbers by which the mining rules of ops/batch_triplet_loss.h decide, shared by the loops of the CPU
// and the kernels of a GPU. Everything here is f64 and has the same bits on both; distance-weighted mining
// has its own header (ops/weight_formulas.h).

#include "tern/core/philox.h"
#include "tern/ops/batch_triplet_loss.h"
#include "tern/ops/triplet_formulas.h"
#include "tern/ops/weight_formulas.h"

namespace tern {

template <class V>
HD V distance_of(V squared, Distance distance) {
  if (distance == Distance::Euclidean) return math::sqrt(squared);
  return distance == Distance::Cosine ? V(0.5) * squared : squared;
}

HD double square_of(double d, Distance distance) {
  if (distance == Distance::Euclidean) return rounded_product(d, d);
  return distance == Distance::Cosine ? 2 * d : d;
}

// g of the header: the gradient of d_ij with respect to u_i is g (u_i - u_j). Capped so that sums of it fit
// f32.
template <class V>
HD V distance_slope(V d, Distance distance) {
  if (distance == Distance::Euclidean) return d > V(0) ? select(d < V(1e-30), V(1e30), V(1) / d) : V(0);
  return distance == Distance::Cosine ? V(1) : V(2);
}

// Half of the design's 2 D 2^-24 (|a|^2 + |b|^2), the error of one Gram distance, with room for the rounding
// of the norms and of their sum, and for products that underflow. norms: |a|^2 + |b|^2. It holds for sums in
// any order.
HD double gram_error(int64_t d, double norms) {
  return static_cast<double>(d + 8) * (0x1p-24 * 1.01 * norms + 0x1p-124);
}

// Pairs with d^2 below this fraction of |a|^2 + |b|^2 are computed directly where f32 distances are used.
inline constexpr float kNearFraction = 1e-3f;

HD uint32_t mining_bits(uint64_t seed, uint64_t step, int64_t n, int64_t anchor, int64_t positive) {
  return Philox{seed, RandomStream::Mining}
      .block(step, static_cast<uint32_t>(anchor * n + positive))
      .value[0];
}

// One term's loss and slope, with the counts it belongs to.
struct TermValue {
  HD TermValue(const BatchTripletOptions& options, double squared_ap, double squared_an)
      : d_ap(distance_of(squared_ap, options.distance)), d_an(distance_of(squared_an, options.distance)) {
    const double gap = d_ap - d_an;
    const TripletHinge hinge{options.margin};
    loss = options.soft_margin ? TripletSoft{}.value(gap) : hinge.value(gap);
    slope = options.soft_margin ? TripletSoft{}.slope(gap) : hinge.slope(gap);
    hard = squared_an <= squared_ap;
    semi_hard = !hard && d_an < d_ap + options.margin;
  }
  double d_ap, d_an, loss, slope;
  bool hard, semi_hard;
};

}  // namespace tern
