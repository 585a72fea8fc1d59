#pragma once
// Sizes that kernels on rows of channels share with what cuts activations into blocks (cpu/channel_panels.h).

#include <cstdint>

namespace tern::cpu {

inline constexpr int64_t kPanelBlock = 512;    // columns of a block, so that its accumulators fit in L1
inline constexpr int64_t kPanelMaskRows = 32;  // rows whose mask bits share a word
inline constexpr int64_t kPanelSumRows = 128;  // rows summed in f32 before they are added up in f64

}  // namespace tern::cpu
