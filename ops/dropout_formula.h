#pragma once
// Which elements dropout keeps (ops/dropout.h): element i has word i % 4 of block i / 4.

#include "tern/core/philox.h"

namespace tern {

// A word of 32 bits keeps its element if its upper 24, as a number in [0, 1), are at least p: an integer
// comparison with ceil(p 2^24).
template <class V>
struct DropoutFormula {
  Philox philox;
  uint64_t step;
  uint32_t threshold;
  V scale;  // of what is kept: 1 / (1 - p)

  HD PhiloxBlock block(int64_t index) const { return philox.block(step, static_cast<uint32_t>(index)); }
  HD V forward(V x, uint32_t word) const { return (word >> 8) >= threshold ? x * scale : V(0); }
};

template <class V>
DropoutFormula<V> dropout_formula(uint64_t seed, uint64_t step, double p) {
  const double words = p * 0x1p24;
  auto threshold = static_cast<uint32_t>(words);
  if (threshold < words) ++threshold;
  return {{seed, RandomStream::Dropout}, step, threshold, p < 1 ? static_cast<V>(1 / (1 - p)) : V(0)};
}

}  // namespace tern
