#pragma once
// bf16 in memory, f32 in registers: what Vec<float>::load and store of cpu/vec.h are made of.
//
// Widening puts the 16 bits into the upper half of a lane. Narrowing rounds to nearest, ties to even, by
// adding 0x7fff and the lowest kept bit; a NaN would overflow into infinity and is made quiet instead. The
// same bits as bfloat16(float) of core/dtype.h.

#include <cstdint>

#include "tern/core/dtype.h"
#include "tern/core/macros.h"

namespace tern::cpu::TERN_ISA {

typedef float F32Lanes __attribute__((vector_size(kVectorBytes)));
typedef uint32_t U32Lanes __attribute__((vector_size(kVectorBytes)));
typedef uint16_t U16Lanes __attribute__((vector_size(kVectorBytes)));       // twice as many
typedef uint16_t Bf16Lanes __attribute__((vector_size(kVectorBytes / 2)));  // one for each f32

TERN_INLINE F32Lanes widen_bf16(const bfloat16* p) {
  Bf16Lanes half;
  __builtin_memcpy(&half, p, sizeof half);
#if defined(__AVX512F__) || defined(__AVX2__)
  // Two shuffles: the quarters to where interleaving with zeros finds them. The conversion of vectors takes
  // five.
  typedef uint64_t Quarters __attribute__((vector_size(kVectorBytes)));
  typedef uint64_t HalfQuarters __attribute__((vector_size(kVectorBytes / 2)));
  const HalfQuarters q = (HalfQuarters)half;
  const U16Lanes zero{};
#if defined(__AVX512F__)
  const U16Lanes spread = (U16Lanes)(Quarters)__builtin_shufflevector(q, q, 0, 0, 1, 1, 2, 2, 3, 3);
  return (F32Lanes)__builtin_shufflevector(zero, spread, 0, 32, 1, 33, 2, 34, 3, 35, 8, 40, 9, 41, 10, 42, 11,
                                           43, 16, 48, 17, 49, 18, 50, 19, 51, 24, 56, 25, 57, 26, 58, 27,
                                           59);
#else
  const U16Lanes spread = (U16Lanes)(Quarters)__builtin_shufflevector(q, q, 0, 0, 1, 1);
  return (F32Lanes)__builtin_shufflevector(zero, spread, 0, 16, 1, 17, 2, 18, 3, 19, 8, 24, 9, 25, 10, 26, 11,
                                           27);
#endif
#else
  return (F32Lanes)(__builtin_convertvector(half, U32Lanes) << 16);
#endif
}

// The upper halves of the lanes are the rounded values; the lower halves are to be dropped.
TERN_INLINE U32Lanes rounded_bf16(const F32Lanes& value) {
  const U32Lanes bits = (U32Lanes)value;
  const U32Lanes rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  return (value != value) ? (bits | 0x400000u) : rounded;
}

TERN_INLINE void narrow_bf16(const F32Lanes& value, bfloat16* p) {
  const U32Lanes kept = rounded_bf16(value);
#if defined(__AVX512F__)
  const U16Lanes words = (U16Lanes)kept;
  const Bf16Lanes half =
      __builtin_shufflevector(words, words, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#else
  const Bf16Lanes half = __builtin_convertvector(kept >> 16, Bf16Lanes);
#endif
  __builtin_memcpy(static_cast<void*>(p), &half, sizeof half);
}

}  // namespace tern::cpu::TERN_ISA
