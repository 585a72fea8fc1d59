#pragma once
// The casts between f32 and bf16 that a training step makes; every other cast is a plain loop (cpu/cast.cpp).

#include <cstdint>

#include "tern/core/dtype.h"

namespace tern::cpu {

struct CastKernels {
  void (*widen)(const bfloat16* x, float* y, int64_t n);
  void (*narrow)(const float* x, bfloat16* y, int64_t n);
};

namespace baseline {
extern const CastKernels cast_table;
}
namespace avx2 {
extern const CastKernels cast_table;
}
namespace avx512 {
extern const CastKernels cast_table;
}

}  // namespace tern::cpu
