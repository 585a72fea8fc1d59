#pragma once
// Vec<T>: one machine vector, on the compiler's vector extensions. Included only by *_kernels.cpp files,
// which are compiled once per instruction set with TERN_ISA naming the namespace; nothing here may have a
// weak symbol outside that namespace, hence no standard library and everything always_inline.
//
// A loop over n elements runs whole vectors and then one partial vector, so a tail element has the same bits
// as a body element:
//   for (; i + V::kLanes <= n; i += V::kLanes) f(V::load(x + i)).store(y + i);
//   if (i < n) f(V::load_partial(x + i, n - i)).store_partial(y + i, n - i);
//
// A kernel that takes activations is a template on their type T = float or bfloat16: Vec<float> loads and
// stores both, and computes in f32. Parameters, statistics and their gradients stay float.

#include <cstddef>
#include <cstdint>

#include "tern/core/dtype.h"
#include "tern/core/macros.h"

#ifndef TERN_ISA
#error "cpu/vec.h is for *_kernels.cpp files, which the build compiles with TERN_ISA set"
#endif

namespace tern::cpu::TERN_ISA {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

#define TERN_INLINE [[gnu::always_inline]] inline

}  // namespace tern::cpu::TERN_ISA
#include "tern/cpu/vec_bf16.h"
namespace tern::cpu::TERN_ISA {

template <class T>
struct IntOf;
template <>
struct IntOf<float> {
  using type = int32_t;
};
template <>
struct IntOf<double> {
  using type = int64_t;
};
template <>
struct IntOf<int32_t> {
  using type = int32_t;
};
template <>
struct IntOf<int64_t> {
  using type = int64_t;
};

template <class T>
struct Vec {
  using Scalar = T;
  using Int = typename IntOf<T>::type;
  static constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));
  typedef T Raw __attribute__((vector_size(kVectorBytes)));
  typedef T Unaligned __attribute__((vector_size(kVectorBytes), aligned(alignof(T)), may_alias));
  typedef Int Mask __attribute__((vector_size(kVectorBytes)));  // lanes 0 or -1

  Raw v;

  Vec() = default;
  TERN_INLINE Vec(const Raw& raw) : v(raw) {}  // by reference: g++ 12 confuses overloads on dependent vectors
  TERN_INLINE Vec(T x) : v(x - Raw{}) {}       // x - 0 is x, also for -0, and folds to one broadcast

  // Through a copy: Vec takes a reference, and clang would bind it to the unaligned memory itself.
  TERN_INLINE static Vec load(const T* p) {
    const Raw raw = *reinterpret_cast<const Unaligned*>(p);
    return Vec(raw);
  }
  TERN_INLINE void store(T* p) const { *reinterpret_cast<Unaligned*>(p) = v; }
  // The first n lanes, 0 <= n < kLanes; the others are 0 / untouched.
  TERN_INLINE static Vec load_partial(const T* p, int64_t n) {
    T buffer[kLanes] = {};
    for (int64_t i = 0; i < n; ++i) buffer[i] = p[i];
    return load(buffer);
  }
  TERN_INLINE void store_partial(T* p, int64_t n) const {
    T buffer[kLanes];
    store(buffer);
    for (int64_t i = 0; i < n; ++i) p[i] = buffer[i];
  }
  // bf16 in memory, f32 in the register.
  TERN_INLINE static Vec load(const bfloat16* p) { return Vec(widen_bf16(p)); }
  TERN_INLINE void store(bfloat16* p) const { narrow_bf16(v, p); }
  TERN_INLINE static Vec load_partial(const bfloat16* p, int64_t n) {
    bfloat16 buffer[kLanes] = {};
    for (int64_t i = 0; i < n; ++i) buffer[i].bits = p[i].bits;
    return load(buffer);
  }
  TERN_INLINE void store_partial(bfloat16* p, int64_t n) const {
    bfloat16 buffer[kLanes];
    store(buffer);
    for (int64_t i = 0; i < n; ++i) p[i].bits = buffer[i].bits;
  }
  TERN_INLINE T operator[](int lane) const { return v[lane]; }

  TERN_INLINE friend Vec operator+(Vec a, Vec b) { return Vec(a.v + b.v); }
  TERN_INLINE friend Vec operator-(Vec a, Vec b) { return Vec(a.v - b.v); }
  TERN_INLINE friend Vec operator*(Vec a, Vec b) { return Vec(a.v * b.v); }
  TERN_INLINE friend Vec operator/(Vec a, Vec b) { return Vec(a.v / b.v); }
  TERN_INLINE friend Vec operator-(Vec a) { return Vec(-a.v); }
  TERN_INLINE Vec& operator+=(Vec b) {
    v += b.v;
    return *this;
  }
  TERN_INLINE Vec& operator-=(Vec b) {
    v -= b.v;
    return *this;
  }
  TERN_INLINE Vec& operator*=(Vec b) {
    v *= b.v;
    return *this;
  }

  TERN_INLINE friend Mask operator<(Vec a, Vec b) { return a.v < b.v; }
  TERN_INLINE friend Mask operator<=(Vec a, Vec b) { return a.v <= b.v; }
  TERN_INLINE friend Mask operator>(Vec a, Vec b) { return a.v > b.v; }
  TERN_INLINE friend Mask operator>=(Vec a, Vec b) { return a.v >= b.v; }
  TERN_INLINE friend Mask operator==(Vec a, Vec b) { return a.v == b.v; }
  TERN_INLINE friend Mask operator!=(Vec a, Vec b) { return a.v != b.v; }
};

// c ? a : b per lane. Found by argument-dependent lookup from the formulas; scalars have their own in
// ops/math.h.
template <class T>
TERN_INLINE Vec<T> select(typename Vec<T>::Mask c, Vec<T> a, Vec<T> b) {
  return Vec<T>(c ? a.v : b.v);
}

// a * b + c: fused where the instruction set has FMA (the kernel files are compiled with -ffp-contract=fast).
template <class T>
TERN_INLINE Vec<T> multiply_add(Vec<T> a, Vec<T> b, Vec<T> c) {
  return Vec<T>(a.v * b.v + c.v);
}

// NaN in either operand gives b, as the machine instructions do; formulas that must keep NaN use select().
template <class T>
TERN_INLINE Vec<T> max(Vec<T> a, Vec<T> b) {
  return Vec<T>(a.v > b.v ? a.v : b.v);
}
template <class T>
TERN_INLINE Vec<T> min(Vec<T> a, Vec<T> b) {
  return Vec<T>(a.v < b.v ? a.v : b.v);
}

template <class T>
TERN_INLINE Vec<T> sqrt(Vec<T> a) {
  Vec<T> r;
  for (int i = 0; i < Vec<T>::kLanes; ++i) {
    if constexpr (sizeof(T) == 8) r.v[i] = __builtin_sqrt(a.v[i]);
    else r.v[i] = __builtin_sqrtf(a.v[i]);
  }
  return r;
}

// The bits of the lanes as integers, and back; a Mask also serves as a vector of integers with the operators
// of C.
template <class T>
TERN_INLINE typename Vec<T>::Mask bits_of(Vec<T> a) {
  return (typename Vec<T>::Mask)a.v;
}
template <class T>
TERN_INLINE Vec<T> from_bits(Vec<T>, typename Vec<T>::Mask bits) {
  return Vec<T>((typename Vec<T>::Raw)bits);
}
template <class T>
TERN_INLINE Vec<T> from_int(Vec<T>, typename Vec<T>::Mask value) {
  return Vec<T>(__builtin_convertvector(value, typename Vec<T>::Raw));
}

// The lanes as doubles, in two vectors. From a whole vector: g++ 12 widens it in a few instructions, but half
// of one piece by piece.
struct Widened {
  Vec<double> half[2];
};
TERN_INLINE Widened widen(Vec<float> a) {
  typedef double Double __attribute__((vector_size(2 * kVectorBytes)));
  const Double wide = __builtin_convertvector(a.v, Double);
  Widened r;
  __builtin_memcpy(&r, &wide, sizeof r);
  return r;
}

// y = f(a, b) computed in double: a formula that needs more than 24 bits on the way (pow).
template <class F>
TERN_INLINE Vec<float> in_double(const F& f, Vec<float> a, Vec<float> b) {
  typedef float Half __attribute__((vector_size(kVectorBytes / 2)));
  const Widened x = widen(a), y = widen(b);
  union Lanes {
    Vec<float>::Raw whole;
    Half half[2];
  } r{};
  for (int i = 0; i < 2; ++i) r.half[i] = __builtin_convertvector(f(x.half[i], y.half[i]).v, Half);
  return Vec<float>(r.whole);
}

// Horizontal sum in a fixed pairwise order: lanes i and i + half are added until one is left.
template <class T>
TERN_INLINE T sum_lanes(Vec<T> a) {
  T lane[Vec<T>::kLanes];
  a.store(lane);
  for (int half = Vec<T>::kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  return lane[0];
}

}  // namespace tern::cpu::TERN_ISA
