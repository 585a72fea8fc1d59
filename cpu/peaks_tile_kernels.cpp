#include "tern/cpu/peaks_kernels.h"
#include "tern/cpu/tile.h"

namespace tern::cpu::TERN_ISA {
namespace {

// Four sums, as the product kernel keeps them; nothing is loaded in the loop.
float tile_loop(int64_t rounds) {
  alignas(kTileBytes) float memory[kTileRows * kTileRows] = {};
  Tiles tiles;
  tiles.zero<0>(), tiles.zero<1>(), tiles.zero<2>(), tiles.zero<3>();
  tiles.load<4>(memory, kTileBytes), tiles.load<5>(memory, kTileBytes);
  tiles.load<6>(memory, kTileBytes), tiles.load<7>(memory, kTileBytes);
  for (int64_t r = 0; r < rounds; ++r) {
    tiles.multiply_add<0, 4, 6>();
    tiles.multiply_add<1, 4, 7>();
    tiles.multiply_add<2, 5, 6>();
    tiles.multiply_add<3, 5, 7>();
  }
  tiles.store<0>(memory, kTileBytes);
  return memory[0];
}

}  // namespace

const PeaksTileKernels peaks_tile_table = {tile_loop, int64_t{2} * 4 * kTileRows* kTileRows* kTileDepth};

}  // namespace tern::cpu::TERN_ISA
