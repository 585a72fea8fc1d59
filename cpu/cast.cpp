#include "tern/ops/cast.h"

#include <type_traits>

#include "tern/core/parallel.h"
#include "tern/cpu/cast_kernels.h"
#include "tern/cpu/isa.h"
#include "tern/ops/cast_formula.h"

namespace tern::cpu {
namespace {

const CastKernels& cast_kernels() {
  return isa_pick(
      []() -> auto& { return baseline::cast_table; }, []() -> auto& { return avx2::cast_table; },
      []() -> auto& { return avx512::cast_table; });
}

}  // namespace

void cast(const Tensor& x, const Tensor& y) {
  with_element_type(x.dtype(), [&]<class From>(From) {
    with_element_type(y.dtype(), [&]<class To>(To) {
      const auto* from = static_cast<const From*>(x.raw_data());
      auto* to = static_cast<To*>(y.raw_data());
      parallel_for(x.numel(), 1 << 15, [=](int64_t begin, int64_t end) {
        if constexpr (std::is_same_v<From, bfloat16> && std::is_same_v<To, float>)
          return cast_kernels().widen(from + begin, to + begin, end - begin);
        else if constexpr (std::is_same_v<From, float> && std::is_same_v<To, bfloat16>)
          return cast_kernels().narrow(from + begin, to + begin, end - begin);
        else
          for (int64_t i = begin; i < end; ++i) to[i] = convert<To>(from[i]);
      });
    });
  });
}

}  // namespace tern::cpu
