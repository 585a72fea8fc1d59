#pragma once
// Winograd's minimal filtering F(4x4, 3x3): a 4x4 tile of outputs of a 3x3 convolution from 36 instead of 144
// products.
//
// A 6x6 patch d and a 3x3 filter g are evaluated at the points 0, 1, -1, 2, -2 and infinity in both
// directions; the values multiply element by element, and interpolation gives the outputs:
//
//   Y = A^T [ (G g G^T) * (B^T d B) ] A
//
// The sum over input channels runs between evaluation and interpolation, so it becomes 36 matrix products.
// The weight gradient is the same with the roles turned: 3x3 outputs from a 6x6 patch of x and the 4x4 tile
// of dy as the filter. Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016.

#include <cstdint>

namespace tern::cpu {

inline constexpr int kComponents = 36;
inline constexpr int64_t kTileSize = 4;

// Images [n,h,w,c] cut into tiles: tile (i, j) of image n starts at pixel (4 i + start_h, 4 j + start_w).
struct TileGrid {
  int64_t h, w, c;
  int64_t tiles_h, tiles_w;
  int64_t start_h, start_w;
};

// Where component k, tile t and channel c of transformed tiles lie: k * component + t * tile + c / w * panel
// + c % w, w the width of the wide register tile (by_columns in cpu/gemm_kernels.h).
struct ComponentLayout {
  int64_t component, tile, panel;
};

// All loop over the tiles [first, first + count), and all channel counts are multiples of 16.
struct WinogradKernels {
  // B^T d B of the 6x6 patches of x. At most kMaxDepth channels (cpu/gemm_kernels.h).
  void (*patches)(const TileGrid& grid, const float* x, int64_t first, int64_t count, ComponentLayout to,
                  float* v);
  // The 4x4 tiles of dy as filters: G' d G'^T.
  void (*tiles)(const TileGrid& grid, const float* dy, int64_t first, int64_t count, ComponentLayout to,
                float* v);
  // Y = A^T m A (+ bias) into the 4x4 tiles of y, where they lie inside. m is [component][tile - first][c].
  void (*outputs)(const TileGrid& grid, const float* m, int64_t component, const float* bias, int64_t first,
                  int64_t count, float* y);
  // G g G^T of one filter for each of `channels` channels, its taps g_tap floats apart, to u + k *
  // component. reversed: of the filter turned by 180 degrees.
  void (*filter)(const float* g, int64_t g_tap, int64_t channels, bool reversed, int64_t component, float* u);
  // 3x3 gradients A'^T m A', dw[3][3][channels] with its taps dw_tap floats apart, from the components at
  // m + k * component.
  void (*gradient)(const float* m, int64_t component, int64_t channels, int64_t dw_tap, float* dw);
};

const WinogradKernels& winograd_kernels();

namespace baseline {
extern const WinogradKernels winograd_table;
}
namespace avx2 {
extern const WinogradKernels winograd_table;
}
namespace avx512 {
extern const WinogradKernels winograd_table;
}

}  // namespace tern::cpu
