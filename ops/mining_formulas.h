#pragma once
// The numbers by which the mining rules of ops/batch_triplet_loss.h decide, shared by the loops of the CPU
// and the kernels of a GPU. Everything here is f64 and has the same bits on both: products that a sum follows
// are kept from being fused with it, logarithm and exponential are our own.

#include "tern/core/philox.h"
#include "tern/ops/batch_triplet_loss.h"
#include "tern/ops/triplet_formulas.h"

namespace tern {

// a * b, rounded before it is added to anything.
HD double rounded_product(double a, double b) {
#if defined(__CUDA_ARCH__)
  return __dmul_rn(a, b);
#else
  return a * b;
#endif
}

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

// ---- distance-weighted mining ----

// c0 + c1 x + c2 x^2 + ...
template <class... C>
HD double rounded_horner(double x, double c0, C... rest) {
  if constexpr (sizeof...(rest) == 0) return c0;
  else return rounded_product(rounded_horner(x, rest...), x) + c0;
}

// log x of a positive normal number: x = 2^n m, log m = 2 atanh((m - 1) / (m + 1)).
HD double mining_log(double x) {
  const int64_t shifted = bits_of(x) - 0x3fe6a09e667f3bcd;
  const double m = from_bits(x, (shifted & 0xfffffffffffff) + 0x3fe6a09e667f3bcd);
  const double s = (m - 1) / (m + 1);
  const double p = rounded_horner(rounded_product(s, s), 1.0, 1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11,
                                  1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21, 1.0 / 23);
  const double n = static_cast<double>(shifted >> 52);
  return rounded_product(n, 0.69314718055994530942) + rounded_product(2 * s, p);
}

// e^x for x <= 0: x = n ln 2 + r, e^r by its series; 0 below 2^-1000.
HD double mining_exp(double x) {
  if (x < -693) return 0;
  const double magic =
      6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer, left in the low bits
  const double t = rounded_product(x, 1.44269504088896340736) + magic, n = t - magic;
  const double r =
      (x - rounded_product(n, 0.693147180369123816490)) - rounded_product(n, 1.90821492927058770002e-10);
  const double e =
      rounded_horner(r, 1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320,
                     1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800);
  return e * from_bits(x, (bits_of(t) - 0x4338000000000000 + 1023) << 52);
}

// The logarithm of the weight of a negative at a squared distance s, in dimension D: with q = max(s, 1/4),
// (2 - D) / 2 log q + (3 - D) / 2 log(1 - q / 4), and -infinity from d = 1.4 on.
HD double log_weight(double squared, int64_t d) {
  const double q = squared > 0.25 ? squared : 0.25;
  if (math::sqrt(q) >= 1.4) return -__builtin_inf();
  const double dim = static_cast<double>(d);
  return rounded_product((2 - dim) / 2, mining_log(q)) +
         rounded_product((3 - dim) / 2, mining_log(1 - q / 4));
}

// Weights relative to the largest, so that none overflows. They are summed in blocks of so many indices: the
// running sum at j is (sum of the blocks before) + (sum within j's block), each in ascending order.
HD double relative_weight(double log_w, double largest) {
  return largest == -__builtin_inf() ? 0 : mining_exp(log_w - largest);
}
inline constexpr int64_t kWeightBlock = 64;

}  // namespace tern
