#pragma once
// x^y in f32 for both value types, by y log2|x| in double (24 bits of y log2 x would leave 2^-17 of relative
// error). Special cases are C's pow: x^0 = 1^y = 1; a negative x needs an integer y; odd y keeps the sign of
// x.

#include "tern/ops/math.h"

namespace tern::math {

struct PowInDouble {
  // 2^p for |p| <= 300, relative error 2^-40: Taylor series of e^(f ln 2), |f| <= 1/2.
  template <class D>
  HD static D exp2(D p) {
    const D magic(6755399441055744.0);  // 1.5 * 2^52
    p = select(p > D(300.0), D(300.0), p);
    p = select(p < D(-300.0), D(-300.0), p);
    const D t = p + magic;
    const D f = (p - (t - magic)) * D(0.69314718055994530942);
    const D e = horner(f, 1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320,
                       1.0 / 362880, 1.0 / 3628800);
    return e * from_bits(p, (bits_of(t) - 0x4338000000000000 + 1023) << 52);
  }
  // log2 of a positive normal a: a = 2^n m, log m = 2 atanh((m - 1) / (m + 1)).
  template <class D>
  HD static D log2(D a) {
    const auto shifted = bits_of(a) - 0x3fe6a09e667f3bcd;
    const D m = from_bits(a, (shifted & 0xfffffffffffff) + 0x3fe6a09e667f3bcd);
    const D s = (m - D(1.0)) / (m + D(1.0));
    const D p = horner(s * s, 1.0, 1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11, 1.0 / 13, 1.0 / 15);
    return multiply_add(s * p, D(2.0 * 1.44269504088896340736), from_int(a, shifted >> 52));
  }
  template <class D>
  HD D operator()(D x, D y) const {
    const D inf(__builtin_inf()), zero(0.0), one(1.0), nan(__builtin_nan("")), magic(6755399441055744.0);
    const D a = select(x < zero, -x, x);
    D logarithm = log2(select(a > zero, select(a < inf, a, one), one));
    logarithm = select(a == zero, -inf, select(a == inf, inf, logarithm));
    D r = exp2(y * logarithm);
    r = select(a == one, one, r);
    // From 2^25 on every f32 is an even integer.
    const D z = select(y > D(33554432.0), D(33554432.0), select(y < D(-33554432.0), D(33554432.0), y));
    const D half = z * D(0.5);
    const auto whole = ((z + magic) - magic) == z;
    const D odd = select(whole, select(((half + magic) - magic) == half, zero, one), zero);
    // The sign of -0 shows only in 1/x.
    const D sign = select(a == zero, one / select(x == zero, x, one), x);
    r = select(sign < zero, select(odd == one, -r, r), r);
    r = select(x < zero, select(a == inf, r, select(whole, r, nan)), r);
    r = select(x != x, x, select(y != y, y, r));
    return select(x == one, one, select(y == zero, one, r));
  }
};

HD double pow(double x, double y) { return __builtin_pow(x, y); }
template <class V>
HD V pow(V x, V y) {
  return in_double(PowInDouble{}, x, y);
}

}  // namespace tern::math
