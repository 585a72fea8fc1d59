#pragma once
// Squares of vectors, transposed in registers. Included only by *_kernels.cpp files.

#include "tern/cpu/vec.h"

namespace tern::cpu::TERN_ISA {

template <int... kLane>
struct LaneList {};
template <int kCount>
struct AllLanes;
template <>
struct AllLanes<4> {
  using List = LaneList<0, 1, 2, 3>;
};
template <>
struct AllLanes<8> {
  using List = LaneList<0, 1, 2, 3, 4, 5, 6, 7>;
};
template <>
struct AllLanes<16> {
  using List = LaneList<0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15>;
};

// Exchanges lane l + step of a with lane l of b, for lanes l without the bit of step.
template <int kStep, class Raw, int... kLane>
TERN_INLINE void exchange(Raw& a, Raw& b, LaneList<kLane...>) {
  constexpr int kLanes = sizeof...(kLane);
  const Raw low = __builtin_shufflevector(a, b, ((kLane & kStep) ? kLanes + kLane - kStep : kLane)...);
  b = __builtin_shufflevector(a, b, ((kLane & kStep) ? kLanes + kLane : kLane + kStep)...);
  a = low;
}

// A square of vectors, transposed by exchanging ever larger quarters.
template <int kStep = 1, int kLanes, class Raw>
TERN_INLINE void transpose_square(Raw (&rows)[kLanes]) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i)
    if ((i & kStep) == 0) exchange<kStep>(rows[i], rows[i + kStep], typename AllLanes<kLanes>::List{});
  if constexpr (2 * kStep < kLanes) transpose_square<2 * kStep>(rows);
}

}  // namespace tern::cpu::TERN_ISA
