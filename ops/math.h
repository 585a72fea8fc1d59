#pragma once
// Elementary functions written once for every value type: float and Vec<float> run the same branch-free code,
// so a tail element has the bits of a body element; double (gradient checks) calls the C library.
//
// Each function reduces its argument to a short interval, evaluates a polynomial there and undoes the
// reduction; special cases are select()ed at the end. Largest error against libm in double, over the whole
// f32 range, is at most 4 ULP (tests/ops/pointwise_test.cpp measures it per instruction set). NaN passes.
//
// The value type V provides + - * /, comparisons, and by argument-dependent lookup select, multiply_add,
// bits_of, from_bits, from_int, sqrt, in_double: below for scalars, in cpu/vec.h for vectors. Polynomials:
// interpolation at Chebyshev nodes, coefficients rounded to f32. Source: Muller, "Elementary Functions", 3rd
// ed., chapters 10-11; W. J. Cody's reductions for exp, log, tanh, erfc.

#include <cstdint>

#include "tern/core/macros.h"

namespace tern {

HD float select(bool c, float a, float b) { return c ? a : b; }
HD double select(bool c, double a, double b) { return c ? a : b; }
HD float multiply_add(float a, float b, float c) { return a * b + c; }
HD double multiply_add(double a, double b, double c) { return a * b + c; }
HD int32_t bits_of(float a) { return __builtin_bit_cast(int32_t, a); }
HD int64_t bits_of(double a) { return __builtin_bit_cast(int64_t, a); }
HD float from_bits(float, int32_t bits) { return __builtin_bit_cast(float, bits); }
HD double from_bits(double, int64_t bits) { return __builtin_bit_cast(double, bits); }
HD float from_int(float, int32_t value) { return static_cast<float>(value); }
HD double from_int(double, int64_t value) { return static_cast<double>(value); }
template <class F>
HD float in_double(const F& f, float a, float b) {
  return static_cast<float>(f(static_cast<double>(a), static_cast<double>(b)));
}

// a * b, rounded before it is added to anything.
HD double rounded_product(double a, double b) {
#if defined(__CUDA_ARCH__)
  return __dmul_rn(a, b);
#else
  return a * b;
#endif
}
template <class V>
HD V rounded_product(V a, V b) {
  return a * b;
}

namespace math {

// c0 + c1 x + c2 x^2 + ...
template <class V, class... C>
HD V horner(V x, double c0, C... rest) {
  if constexpr (sizeof...(rest) == 0) return V(c0);
  else return multiply_add(horner(x, rest...), x, V(c0));
}

HD float abs(float x) { return __builtin_fabsf(x); }
HD double abs(double x) { return __builtin_fabs(x); }
template <class V>
HD V abs(V x) {
  return from_bits(x, bits_of(x) & 0x7fffffff);
}

// The size of a with the sign of b.
HD float with_sign(float a, float b) { return __builtin_copysignf(a, b); }
template <class V>
HD V with_sign(V a, V b) {
  return from_bits(a, (bits_of(a) & 0x7fffffff) | (bits_of(b) & ~0x7fffffff));
}

HD float sqrt(float x) { return __builtin_sqrtf(x); }
HD double sqrt(double x) { return __builtin_sqrt(x); }
template <class V>
HD V sqrt(V x) {
  return sqrt(x);
}  // the vector's own

// Keep NaN, unlike the machine's instructions.
template <class V>
HD V maximum(V a, V b) {
  return select(a > b, a, select(b != b, b, select(a != a, a, b)));
}
template <class V>
HD V minimum(V a, V b) {
  return select(a < b, a, select(b != b, b, select(a != a, a, b)));
}

// e^(x + low) for |low| < 0.1: the second word keeps products that f32 would round (the Gaussians below).
// x + low = n ln 2 + r with |r| <= ln 2 / 2; e^r is a polynomial, 2^n is put together in two halves so that
// subnormal results are rounded once.
template <class V>
HD V exp_sum(V x, V low) {
  x = select(x > V(89.0f), V(89.0f), x);
  x = select(x < V(-104.0f), V(-104.0f), x);
  const V magic(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer, left in the low bits
  const V t = multiply_add(x, V(1.44269504f), magic);
  const V n = t - magic;
  V r = multiply_add(n, V(-0.693145752f), x);
  r = multiply_add(n, V(-1.42860682e-6f), r) + low;
  const V p = horner(r, 0.5f, 0.166666672f, 0.0416664556f, 0.00833331048f, 0.00139345415f, 0.000198919806f);
  const V e = multiply_add(p, r * r, r) + V(1.0f);
  const auto k = bits_of(t) - 0x4b400000;
  const auto half = k >> 1;
  return e * from_bits(x, (half + 127) << 23) * from_bits(x, (k - half + 127) << 23);
}
HD double exp(double x) { return __builtin_exp(x); }
template <class V>
HD V exp(V x) {
  return exp_sum(x, V(0.0f));
}

// x = 2^n (1 + f), 1 + f in [sqrt(1/2), sqrt(2)): log x = n ln 2 + f - f^2/2 + f^3 P(f).
HD double log(double x) { return __builtin_log(x); }
template <class V>
HD V log(V x) {
  const auto tiny = x < V(1.17549435e-38f);
  const V scaled = select(x > V(0.0f), select(tiny, x * V(8388608.0f), x), V(1.0f));
  const auto shifted = bits_of(scaled) - 0x3f3504f3;
  const V f = from_bits(x, (shifted & 0x7fffff) + 0x3f3504f3) - V(1.0f);
  const V n = from_int(x, shifted >> 23) - select(tiny, V(23.0f), V(0.0f));
  const V p = horner(f, 0.333333313f, -0.24999997f, 0.200007156f, -0.166678026f, 0.142490581f, -0.124256872f,
                     0.116854198f, -0.114797339f, 0.0697161183f);
  const V z = f * f;
  V y = multiply_add(n, V(1.42860682e-6f), p * f * z);
  y = multiply_add(z, V(-0.5f), y);
  y = multiply_add(n, V(0.693145752f), f + y);
  y = select(x == V(__builtin_inff()), x, y);
  y = select(x == V(0.0f), V(-__builtin_inff()), y);
  y = select(x < V(0.0f), V(__builtin_nanf("")), y);
  return select(x != x, x, y);
}

// log(1 + x): with u = 1 + x rounded, log u + (1 + x - u) / u.
HD double log1p(double x) { return __builtin_log1p(x); }
template <class V>
HD V log1p(V x) {
  const V u = V(1.0f) + x;
  const V y = log(u);
  const V corrected = y + (x - (u - V(1.0f))) / u;
  // u is 0 or infinite: the correction is 0/0; x = -0 keeps its sign.
  const V kept = select(u == V(0.0f), y, select(u == V(__builtin_inff()), y, corrected));
  return select(x == V(0.0f), x, kept);
}

// Odd; x + x^3 P(x^2) near 0, 1 - 2 / (e^(2|x|) + 1) elsewhere.
HD double tanh(double x) { return __builtin_tanh(x); }
template <class V>
HD V tanh(V x) {
  const V a = abs(x), z = x * x;
  const V p =
      horner(z, -0.333333343f, 0.133333042f, -0.0539592579f, 0.0217689183f, -0.00834394526f, 0.00229274482f);
  const V far = V(1.0f) - V(2.0f) / (exp(a + a) + V(1.0f));
  return with_sign(select(a < V(0.625f), multiply_add(p * z, a, a), far), x);
}

// 1 / (1 + e^-x), by e^-|x| so that neither tail overflows.
template <class V>
HD V sigmoid(V x) {
  const V e = exp(-abs(x));
  return select(x < V(0.0f), e, V(1.0f)) / (V(1.0f) + e);
}

// e^(-x^2 / 2): x is cut into a high part whose square is exact and a rest, else large x would lose x^2 ULP.
HD double gaussian(double x) { return __builtin_exp(-0.5 * x * x); }
template <class V>
HD V gaussian(V x) {
  const V a = select(abs(x) > V(15.0f), V(15.0f), abs(x));
  const V high = from_bits(a, bits_of(a) & ~0xfff);
  return exp_sum(V(-0.5f) * high * high, V(-0.5f) * (a - high) * (a + high));
}

// The part of the normal distribution beyond t >= 0, Phi(-t) = e^(-t^2/2) P((t - 3) / (t + 3)) / (1 + t).
template <class V>
HD V upper_tail(V t) {
  const V c = select(t > V(14.5f), V(14.5f), t);
  const V p = horner((c - V(3.0f)) / (c + V(3.0f)), 0.486055791f, -0.0965267569f, -0.016432168f,
                     0.0451639779f, -0.0227297489f, 0.00115963235f, 0.00300944247f, -0.000348727568f,
                     -0.000515651656f, 5.19893501e-06f, 8.78616702e-05f, 2.22070739e-05f);
  return gaussian(c) * (p / (V(1.0f) + c));
}

// Phi(x) = (1 + erf(x / sqrt 2)) / 2, accurate in the lower tail too.
HD double normal_cdf(double x) { return 0.5 * __builtin_erfc(-x * 0.70710678118654752440); }
template <class V>
HD V normal_cdf(V x) {
  const V tail = upper_tail(abs(x));
  return select(x < V(0.0f), tail, V(1.0f) - tail);
}

// Odd; x P(x^2) up to 1, 1 - 2 Phi(-sqrt2 |x|) beyond.
HD double erf(double x) { return __builtin_erf(x); }
template <class V>
HD V erf(V x) {
  const V a = abs(x), z = x * x;
  const V p =
      horner(z, 0.128379107f, -0.376123428f, 0.112803169f, -0.0267150551f, 0.00492176181f, -0.000564805989f);
  const V far = multiply_add(V(-2.0f), upper_tail(a * V(1.41421356f)), V(1.0f));
  return with_sign(select(a < V(1.0f), multiply_add(p, a, a), far), x);
}

}  // namespace math
}  // namespace tern
