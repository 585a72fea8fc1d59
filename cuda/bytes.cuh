#pragma once
// Kernels that move elements without looking at them are written for words of 1, 2, 4, 8 or 16 bytes.

#include "tern/cuda/kernel.h"

namespace tern::cu {

// body(T{}) for the word of so many bytes.
template <class Body>
void with_word(int64_t bytes, Body&& body) {
  switch (bytes) {
    case 1: return body(uint8_t{});
    case 2: return body(uint16_t{});
    case 4: return body(uint32_t{});
    case 8: return body(uint64_t{});
    default: return body(uint4{});
  }
}

// The largest word that divides every one of these addresses and byte counts.
inline int64_t common_word(std::initializer_list<int64_t> values) {
  int64_t all = 16;
  for (const int64_t value : values) all |= value;
  return all & -all;
}
inline int64_t address_of(const void* p) { return static_cast<int64_t>(reinterpret_cast<uintptr_t>(p)); }

}  // namespace tern::cu
