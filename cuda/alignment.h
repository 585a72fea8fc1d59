#pragma once
// How far the addresses of a call are aligned: what the vendor libraries ask before they choose an algorithm,
// and our kernels before they read 16 bytes at once.

#include <cstdint>
#include <initializer_list>

namespace tern::cu {

inline constexpr int64_t kFullAlignment = 16;  // nothing reads more at once

// The largest power of two up to kFullAlignment that divides all of them. Null is as aligned as can be.
inline int64_t common_alignment(std::initializer_list<const void*> pointers) {
  uintptr_t bits = kFullAlignment;
  for (const void* pointer : pointers) bits |= reinterpret_cast<uintptr_t>(pointer);
  return static_cast<int64_t>(bits & (~bits + 1));
}

}  // namespace tern::cu
