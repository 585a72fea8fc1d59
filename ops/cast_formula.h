#pragma once
// One element cast from a type to another, for every backend; the rules are in ops/cast.h.

#include <limits>
#include <type_traits>

#include "tern/core/dtype.h"
#include "tern/core/macros.h"

namespace tern {

// A constant, which a kernel may read where it may not call.
template <class T>
inline constexpr T kLeastOf = std::numeric_limits<T>::min();
template <class T>
inline constexpr T kMostOf = std::numeric_limits<T>::max();

template <class To, class From>
HD To convert(From value) {
  if constexpr (std::is_same_v<From, bfloat16>) {
    return convert<To>(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, bfloat16>) {
    return bfloat16(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, bool>) {
    return value != From(0);
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    constexpr To kLeast = kLeastOf<To>, kMost = kMostOf<To>;
    if (value != value) return 0;
    if (value <= static_cast<From>(kLeast)) return kLeast;
    if (value >= static_cast<From>(kMost)) return kMost;
    return static_cast<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

// body(T{}) for the element type.
template <class Body>
void with_element_type(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::F32: return body(float{});
    case DType::F64: return body(double{});
    case DType::BF16: return body(bfloat16{});
    case DType::I64: return body(int64_t{});
    case DType::I32: return body(int32_t{});
    case DType::U8: return body(uint8_t{});
    case DType::Bool: return body(bool{});
  }
}

}  // namespace tern
