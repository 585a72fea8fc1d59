#pragma once
// Dropout on elements [begin, end) of x; begin is a multiple of 4, the words of one Philox block.

#include <cstdint>

#include "tern/ops/dropout_formula.h"

namespace tern::cpu::reference {

template <class T, class Value>
void dropout(const DropoutFormula<Value>& formula, const T* x, T* y, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i += 4) {
    const PhiloxBlock block = formula.block(i / 4);
    for (int64_t k = 0; k < 4 && i + k < end; ++k)
      y[i + k] = T(formula.forward(static_cast<Value>(x[i + k]), block.value[k]));
  }
}

}  // namespace tern::cpu::reference
