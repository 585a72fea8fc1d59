#include "tern/cpu/gemm_tile.h"

#include <atomic>

#include "tern/cpu/isa.h"

namespace tern::cpu {
namespace {

std::atomic<bool>& twin() {
  static std::atomic<bool> on{false};
  return on;
}

}  // namespace

void use_tile_twin_for_test(bool on) { twin().store(on, std::memory_order_relaxed); }

bool use_tiles() {
  return active_isa() == Isa::Amx || (twin().load(std::memory_order_relaxed) && !use_reference());
}

const TileKernels& tile_kernels() {
  if constexpr (kX86) {
    if (active_isa() == Isa::Amx) return amx::tile_table;
  }
  return isa_pick(
      []() -> auto& { return baseline::tile_table; }, []() -> auto& { return avx2::tile_table; },
      []() -> auto& { return avx512::tile_table; });
}

}  // namespace tern::cpu
