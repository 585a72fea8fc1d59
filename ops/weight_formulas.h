#pragma once
// The weights by which distance-weighted mining draws, for double and for vectors of them: the same bits on
// every instruction set and on a GPU. Products that a sum follows are kept from being fused with it (CPU
// files that use them on vectors are compiled without contraction), logarithm and exponential are our own.

#include "tern/core/macros.h"
#include "tern/ops/math.h"

namespace tern {

// c0 + c1 x + c2 x^2 + ...
template <class V, class... C>
HD V rounded_horner(V x, double c0, C... rest) {
  if constexpr (sizeof...(rest) == 0) return V(c0);
  else return rounded_product(rounded_horner(x, rest...), x) + V(c0);
}

// log x of a positive normal number: x = 2^n m, log m = 2 atanh((m - 1) / (m + 1)).
template <class V>
HD V mining_log(V x) {
  const auto shifted = bits_of(x) - 0x3fe6a09e667f3bcd;
  const V m = from_bits(x, (shifted & 0xfffffffffffff) + 0x3fe6a09e667f3bcd);
  const V s = (m - V(1)) / (m + V(1));
  const V p = rounded_horner(rounded_product(s, s), 1.0, 1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11,
                             1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21, 1.0 / 23);
  const V n = from_int(x, shifted >> 52);
  return rounded_product(n, V(0.69314718055994530942)) + rounded_product(V(2) * s, p);
}

// e^x for x <= 0: x = n ln 2 + r, e^r by its series; 0 below 2^-1000.
template <class V>
HD V mining_exp(V x) {
  // 1.5 * 2^52: adding it rounds to an integer, left in the low bits.
  const V magic(6755399441055744.0);
  const V t = rounded_product(x, V(1.44269504088896340736)) + magic, n = t - magic;
  const V r = (x - rounded_product(n, V(0.693147180369123816490))) -
              rounded_product(n, V(1.90821492927058770002e-10));
  const V e =
      rounded_horner(r, 1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320,
                     1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800);
  const V power = from_bits(x, (bits_of(t) - 0x4338000000000000 + 1023) << 52);
  return select(x < V(-693), V(0), e * power);
}

// The logarithm of the weight of a negative at a squared distance s, in dimension D: with q = max(s, 1/4),
// (2 - D) / 2 log q + (3 - D) / 2 log(1 - q / 4), and -infinity from d = 1.4 on.
template <class V>
HD V log_weight(V squared, int64_t d) {
  const V least(0.25), q = select(squared > least, squared, least);
  const auto far = math::sqrt(q) >= V(1.4);
  const V within = select(far, least, q);
  const double dim = static_cast<double>(d);
  const V log_w = rounded_product(V((2 - dim) / 2), mining_log(within)) +
                  rounded_product(V((3 - dim) / 2), mining_log(V(1) - within / V(4)));
  return select(far, V(-__builtin_inf()), log_w);
}

// Weights relative to the largest, so that none overflows. They are summed in blocks of so many indices: the
// running sum at j is (sum of the blocks before) + (sum within j's block), each in ascending order.
template <class V>
HD V relative_weight(V log_w, double largest) {
  return largest == -__builtin_inf() ? V(0) : mining_exp(log_w - V(largest));
}
inline constexpr int64_t kWeightBlock = 64;

}  // namespace tern
