#include "tern/ops/cast.h"

#include <limits>
#include <type_traits>

#include "tern/core/parallel.h"
#include "tern/cpu/cast_kernels.h"
#include "tern/cpu/isa.h"

namespace tern::cpu {
namespace {

const CastKernels& kernels() {
  return isa_pick(
      []() -> auto& { return baseline::cast_table; }, []() -> auto& { return avx2::cast_table; },
      []() -> auto& { return avx512::cast_table; });
}

template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<From, bfloat16>) {
    return convert<To>(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, bfloat16>) {
    return bfloat16(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, bool>) {
    return value != From(0);
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    using Limits = std::numeric_limits<To>;
    if (value != value) return 0;
    if (value <= static_cast<From>(Limits::min())) return Limits::min();
    if (value >= static_cast<From>(Limits::max())) return Limits::max();
    return static_cast<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

// Calls body with a pointer of the element type of x.
template <class Body>
void with_pointer(const Tensor& x, Body&& body) {
  void* data = x.raw_data();
  switch (x.dtype()) {
    case DType::F32: return body(static_cast<float*>(data));
    case DType::F64: return body(static_cast<double*>(data));
    case DType::BF16: return body(static_cast<bfloat16*>(data));
    case DType::I64: return body(static_cast<int64_t*>(data));
    case DType::I32: return body(static_cast<int32_t*>(data));
    case DType::U8: return body(static_cast<uint8_t*>(data));
    case DType::Bool: return body(static_cast<bool*>(data));
  }
}

}  // namespace

void cast(const Tensor& x, const Tensor& y) {
  with_pointer(x, [&](const auto* from) {
    with_pointer(y, [&](auto* to) {
      using From = std::remove_cvref_t<decltype(*from)>;
      using To = std::remove_pointer_t<decltype(to)>;
      parallel_for(x.numel(), 1 << 15, [=](int64_t begin, int64_t end) {
        if constexpr (std::is_same_v<From, bfloat16> && std::is_same_v<To, float>)
          return kernels().widen(from + begin, to + begin, end - begin);
        else if constexpr (std::is_same_v<From, float> && std::is_same_v<To, bfloat16>)
          return kernels().narrow(from + begin, to + begin, end - begin);
        else
          for (int64_t i = begin; i < end; ++i) to[i] = convert<To>(from[i]);
      });
    });
  });
}

}  // namespace tern::cpu
