#pragma once
// How much one task of parallel_for takes, so that starting it costs little beside its work.

#include <algorithm>
#include <cstdint>

namespace tern::cpu {

// Elements of a pointwise operation: several microseconds of work, a multiple of every vector.
inline constexpr int64_t kElementGrain = 16384;
// Rows of d elements.
inline int64_t row_grain(int64_t d) { return std::max<int64_t>(1, 8192 / std::max<int64_t>(d, 1)); }

}  // namespace tern::cpu
