#pragma once
// Dropout on elements [begin, end) of x; begin is a multiple of 4, the words of one Philox block.

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "tern/core/philox.h"

namespace tern::cpu::reference {

// A word of 32 bits keeps its element if its upper 24, as a number in [0, 1), are at least p: an integer
// comparison.
inline uint32_t drop_threshold(double p) { return static_cast<uint32_t>(std::ceil(p * 0x1p24)); }

template <class T>
void dropout(const Philox& philox, uint64_t step, double p, const T* x, T* y, int64_t begin, int64_t end) {
  using Value = std::conditional_t<std::is_same_v<T, double>, double, float>;
  const Value scale = p < 1 ? static_cast<Value>(1 / (1 - p)) : Value(0);
  const uint32_t threshold = drop_threshold(p);
  for (int64_t i = begin; i < end; i += 4) {
    const PhiloxBlock block = philox.block(step, static_cast<uint32_t>(i / 4));
    for (int64_t k = 0; k < 4 && i + k < end; ++k)
      y[i + k] = T((block.value[k] >> 8) >= threshold ? static_cast<Value>(x[i + k]) * scale : Value(0));
  }
}

}  // namespace tern::cpu::reference
