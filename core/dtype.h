#pragma once
// Element types. Parameters are f32; activations may be bf16 (they then carry the precision of the step); f64
// is the type of gradient checks; i64 holds labels and indices; u8 holds photos.

#include <cstdint>
#include <cstring>
#include <string_view>

#include "tern/core/macros.h"

namespace tern {

enum class DType : uint8_t { F32, F64, BF16, I64, I32, U8, Bool };

// The upper half of an f32. Conversion rounds to nearest, ties to even; NaN stays NaN.
struct bfloat16 {
  uint16_t bits = 0;

  bfloat16() = default;
  HD explicit bfloat16(float value) {
    uint32_t u;
    __builtin_memcpy(&u, &value, sizeof u);
    const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = static_cast<uint16_t>(nan ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
  HD explicit operator float() const {
    const uint32_t u = static_cast<uint32_t>(bits) << 16;
    float value;
    __builtin_memcpy(&value, &u, sizeof value);
    return value;
  }
};

constexpr int64_t size_of(DType dtype) {
  switch (dtype) {
    case DType::F64:
    case DType::I64: return 8;
    case DType::F32:
    case DType::I32: return 4;
    case DType::BF16: return 2;
    case DType::U8:
    case DType::Bool: return 1;
  }
  return 0;
}

constexpr std::string_view to_string(DType dtype) {
  switch (dtype) {
    case DType::F32: return "f32";
    case DType::F64: return "f64";
    case DType::BF16: return "bf16";
    case DType::I64: return "i64";
    case DType::I32: return "i32";
    case DType::U8: return "u8";
    case DType::Bool: return "bool";
  }
  return "?";
}

constexpr bool is_floating(DType dtype) {
  return dtype == DType::F32 || dtype == DType::F64 || dtype == DType::BF16;
}

// The type of the parameters that meet activations of a type, and of their gradients.
constexpr DType parameter_type(DType activation) {
  return activation == DType::BF16 ? DType::F32 : activation;
}

// dtype_of<float> == DType::F32
template <class T>
inline constexpr DType dtype_of = DType::F32;
template <>
inline constexpr DType dtype_of<double> = DType::F64;
template <>
inline constexpr DType dtype_of<bfloat16> = DType::BF16;
template <>
inline constexpr DType dtype_of<int64_t> = DType::I64;
template <>
inline constexpr DType dtype_of<int32_t> = DType::I32;
template <>
inline constexpr DType dtype_of<uint8_t> = DType::U8;
template <>
inline constexpr DType dtype_of<bool> = DType::Bool;

}  // namespace tern
