#include "tern/cpu/conv2d_winograd.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string_view>

#include "tern/core/parallel.h"
#include "tern/cpu/filter_cache.h"
#include "tern/cpu/gemm.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/winograd_kernels.h"

namespace tern::cpu {
namespace {

std::atomic<bool>& winograd_switch() {
  static std::atomic<bool> on = [] {
    const char* text = std::getenv("TERN_WINOGRAD");
    return text == nullptr || std::string_view(text) != "0";
  }();
  return on;
}

// out = 3x3 convolution of in; the data gradient is one too, over dy with reversed filters.
struct TiledConv {
  int64_t n, in_h, in_w, in_c, out_h, out_w, out_c, start_h, start_w;

  int64_t tiles_h() const { return (out_h + kTileSize - 1) / kTileSize; }
  int64_t tiles_w() const { return (out_w + kTileSize - 1) / kTileSize; }
  int64_t tiles() const { return n * tiles_h() * tiles_w(); }
  TileGrid in_grid() const { return {in_h, in_w, in_c, tiles_h(), tiles_w(), start_h, start_w}; }
  TileGrid out_grid() const { return {out_h, out_w, out_c, tiles_h(), tiles_w(), 0, 0}; }
};

TiledConv forward_conv(const Conv2dGeometry& g) {
  return {g.n, g.h, g.w, g.c, g.out_h, g.out_w, g.o, -g.padding.h, -g.padding.w};
}
TiledConv data_conv(const Conv2dGeometry& g) {
  return {g.n, g.out_h, g.out_w, g.o, g.h, g.w, g.c, g.padding.h - 2, g.padding.w - 2};
}

// The filters as the right-hand sides of 36 products: [component][panel of outputs][input][kNr].
class TransformedFilters {
 public:
  TransformedFilters(int64_t in, int64_t out)
      : in_(in),
        out_(out),
        width_(gemm_kernels().tile_columns),
        panels_((out + width_ - 1) / width_),
        data_(kComponents * panels_ * width_ * in) {}

  float* panel(int64_t component, int64_t p) const {
    return data_.data() + (component * panels_ + p) * width_ * in_;
  }
  int64_t panels() const { return panels_; }
  int64_t width() const { return width_; }

  // Of w[out, 3, 3, in], transposed on the way in blocks of 16 inputs.
  void from_forward(const float* w) {
    constexpr int64_t kBlock = 16;
    const int64_t blocks = in_ / kBlock;
    const ComponentLayout layout{width_ * kBlock, 0, gemm_kernels().tile_columns};
    parallel_for(panels_ * blocks, 1, [&](int64_t begin, int64_t end) {
      const Scratch<float> rows(kComponents * width_ * kBlock);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t p = i / blocks, c = i % blocks * kBlock, columns = std::min(width_, out_ - p * width_);
        for (int64_t o = 0; o < columns; ++o)
          winograd_kernels().filter(w + (p * width_ + o) * 9 * in_ + c, in_, kBlock, false, layout,
                                    rows.data() + o * kBlock);
        for (int64_t k = 0; k < kComponents; ++k)
          gemm_kernels().pack_panel_transposed(rows.data() + k * width_ * kBlock, kBlock, kBlock, columns,
                                               panel(k, p) + c * width_);
      }
    });
  }

  // Of w[in, 3, 3, out], turned by 180 degrees: dx is the convolution of dy with these.
  void from_backward(const float* w) {
    const ComponentLayout layout{panels_ * width_ * in_, 0, width_ * in_};
    parallel_for(in_, 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        winograd_kernels().filter(w + i * 9 * out_, out_, out_, true, layout, data_.data() + i * width_);
    });
  }

 private:
  int64_t in_, out_, width_, panels_;
  Scratch<float> data_;
};

// Transformed patches [component][tile][kRowStride] and products [component][tile][out_c] of a range of
// tiles.
struct TileBuffers {
  TileBuffers(const TiledConv& conv, int64_t tiles)
      : tiles(tiles), v(kComponents * tiles * kRowStride), m(kComponents * tiles * conv.out_c) {}
  ComponentLayout layout() const {
    const int64_t width = gemm_kernels().tile_columns;
    return {tiles * kRowStride, kRowStride, width};
  }
  int64_t tiles;
  Scratch<float> v, m;
};

// A sum of many products of mixed signs loses accuracy with its length, and Winograd's transforms magnify
// that: longer sums are cut into blocks of this many products.
constexpr int64_t kSumLength = 128;

// One tile of a product, block by block; job.depth is the whole length.
void multiply_tile(TileKernel kernel, TileJob job, int64_t a_step, int64_t b_step) {
  const int64_t depth = job.depth;
  for (int64_t k = 0; k < depth; k += kSumLength) {
    job.depth = std::min(kSumLength, depth - k);
    kernel(job);
    job.a += kSumLength * a_step;
    job.b += kSumLength * b_step;
    job.accumulate = true;
  }
}

// m = v u for one component and the panels [first, last).
void multiply(const TiledConv& conv, const TransformedFilters& u, const TileBuffers& buffers, int64_t count,
              int64_t component, int64_t first, int64_t last) {
  const GemmKernels& kernels = gemm_kernels();
  const int64_t steps = (count + kernels.tile_rows - 1) / kernels.tile_rows;
  const int64_t tile_rows = (count + steps - 1) / steps;
  for (int64_t panel = first; panel < last; ++panel)
    for (int64_t row = 0; row < count; row += tile_rows) {
      const int64_t rows = std::min(tile_rows, count - row), column = panel * u.width();
      float* c[kMaxTileRows];
      for (int64_t r = 0; r < rows; ++r)
        c[r] = buffers.m.data() + (component * buffers.tiles + row + r) * conv.out_c;
      multiply_tile(kernels.by_rows[rows],
                    {.a = buffers.v.data() + (component * buffers.tiles + row) * kRowStride,
                     .a_stride = kRowStride,
                     .b = u.panel(component, panel),
                     .depth = conv.in_c,
                     .c = c,
                     .column = column,
                     .columns = std::min(u.width(), conv.out_c - column)},
                    1, u.width());
    }
}

// The epilogue on the outputs of some tiles, which have just been written.
void finish_tiles(const TiledConv& conv, const Epilogue<float>& epilogue, int64_t first, int64_t count,
                  float* out) {
  if (epilogue.empty()) return;
  for (int64_t tile = first; tile < first + count; ++tile) {
    const int64_t n = tile / (conv.tiles_h() * conv.tiles_w());
    const int64_t h = tile / conv.tiles_w() % conv.tiles_h() * kTileSize,
                  w = tile % conv.tiles_w() * kTileSize;
    const int64_t pixels = std::min<int64_t>(kTileSize, conv.out_w - w);
    for (int64_t i = h; i < std::min(h + kTileSize, conv.out_h); ++i)
      epilogue.apply(out + ((n * conv.out_h + i) * conv.out_w + w) * conv.out_c, 0, 0, conv.out_c, pixels,
                     conv.out_c);
  }
}

// Few channels: a thread takes a few tiles through all three steps, in its second-level cache.
void run_fused(const TiledConv& conv, const TransformedFilters& u, const float* in, const float* bias,
               float* out, const Epilogue<float>& epilogue) {
  constexpr int64_t kTiles = 28;
  const WinogradKernels& kernels = winograd_kernels();
  const int64_t blocks = (conv.tiles() + kTiles - 1) / kTiles;
  parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    const TileBuffers buffers(conv, kTiles);
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kTiles, count = std::min(kTiles, conv.tiles() - first);
      kernels.patches(conv.in_grid(), in, first, count, buffers.layout(), buffers.v.data());
      for (int64_t k = 0; k < kComponents; ++k) multiply(conv, u, buffers, count, k, 0, u.panels());
      kernels.outputs(conv.out_grid(), buffers.m.data(), kTiles * conv.out_c, bias, first, count, out);
      finish_tiles(conv, epilogue, first, count, out);
    }
  });
}

// Many channels: the filters are large, so every step runs over many tiles before the next begins.
void run_in_steps(const TiledConv& conv, const TransformedFilters& u, const float* in, const float* bias,
                  float* out, const Epilogue<float>& epilogue) {
  constexpr int64_t kTiles = 512, kChunk = 4, kPanels = 4;
  const WinogradKernels& kernels = winograd_kernels();
  const TileBuffers buffers(conv, std::min(kTiles, conv.tiles()));
  const int64_t ranges = (u.panels() + kPanels - 1) / kPanels;
  for (int64_t first = 0; first < conv.tiles(); first += kTiles) {
    const int64_t count = std::min(kTiles, conv.tiles() - first);
    parallel_for(count, kChunk, [&](int64_t begin, int64_t end) {
      kernels.patches(conv.in_grid(), in, first + begin, end - begin, buffers.layout(),
                      buffers.v.data() + begin * kRowStride);
    });
    parallel_for(kComponents * ranges, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        multiply(conv, u, buffers, count, i / ranges, i % ranges * kPanels,
                 std::min(u.panels(), (i % ranges + 1) * kPanels));
    });
    parallel_for(count, kChunk, [&](int64_t begin, int64_t end) {
      kernels.outputs(conv.out_grid(), buffers.m.data() + begin * conv.out_c, buffers.tiles * conv.out_c,
                      bias, first + begin, end - begin, out);
      finish_tiles(conv, epilogue, first + begin, end - begin, out);
    });
  }
}

void run(const TiledConv& conv, const TransformedFilters& u, const float* in, const float* bias, float* out,
         const Epilogue<float>& epilogue) {
  constexpr int64_t kFewProducts = 160 * 160;
  if (conv.in_c * conv.out_c <= kFewProducts) run_fused(conv, u, in, bias, out, epilogue);
  else run_in_steps(conv, u, in, bias, out, epilogue);
}

// Steps of the weight gradient over one range of tiles: sums [component][o][c] of products of dy and x tiles.
class WeightSums {
 public:
  explicit WeightSums(const Conv2dGeometry& g)
      : g_(g),
        conv_(forward_conv(g)),
        width_(gemm_kernels().tile_columns),
        panels_((g.c + width_ - 1) / width_),
        capacity_(std::min(kTiles, conv_.tiles())),
        x_(kComponents * panels_ * width_ * capacity_),
        dy_(kComponents * g.o * capacity_),
        sums_(kComponents * g.o * g.c) {}

  void run(const float* dy, const float* x, float* dw) {
    for (int64_t first = 0; first < conv_.tiles(); first += kTiles) {
      const int64_t count = std::min(kTiles, conv_.tiles() - first);
      transform(dy, x, first, count);
      multiply(count, first > 0);
    }
    parallel_for(g_.o, 1, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o)
        winograd_kernels().gradient(sums_.data() + o * g_.c, g_.o * g_.c, g_.c, dw + o * 9 * g_.c);
    });
  }

 private:
  static constexpr int64_t kTiles = kMaxDepth;

  // x to panels [component][panel][tile][kNr], dy to [component][tile][o].
  void transform(const float* dy, const float* x, int64_t first, int64_t count) {
    const WinogradKernels& kernels = winograd_kernels();
    const ComponentLayout x_layout{panels_ * width_ * capacity_, width_, width_ * capacity_};
    const ComponentLayout dy_layout{capacity_ * g_.o, g_.o, width_};
    parallel_for(count, 4, [&](int64_t begin, int64_t end) {
      kernels.patches(conv_.in_grid(), x, first + begin, end - begin, x_layout, x_.data() + begin * width_);
      kernels.tiles(conv_.out_grid(), dy, first + begin, end - begin, dy_layout, dy_.data() + begin * g_.o);
    });
  }

  void multiply(int64_t count, bool accumulate) {
    const GemmKernels& kernels = gemm_kernels();
    const int64_t steps = (g_.o + kernels.tile_rows - 1) / kernels.tile_rows;
    const int64_t tile_rows = (g_.o + steps - 1) / steps;
    parallel_for(kComponents * panels_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t k = i / panels_, column = i % panels_ * width_;
        for (int64_t o = 0; o < g_.o; o += tile_rows) {
          const int64_t rows = std::min(tile_rows, g_.o - o);
          float* c[kMaxTileRows];
          for (int64_t r = 0; r < rows; ++r) c[r] = sums_.data() + (k * g_.o + o + r) * g_.c;
          multiply_tile(kernels.by_columns[rows],
                        {.a = dy_.data() + k * capacity_ * g_.o + o,
                         .a_stride = g_.o,
                         .b = x_.data() + i * width_ * capacity_,
                         .b_stride = width_,
                         .depth = count,
                         .c = c,
                         .column = column,
                         .columns = std::min(width_, g_.c - column),
                         .accumulate = accumulate},
                        g_.o, width_);
        }
      }
    });
  }

  const Conv2dGeometry& g_;
  TiledConv conv_;
  int64_t width_, panels_, capacity_;
  Scratch<float> x_, dy_, sums_;
};

}  // namespace

const WinogradKernels& winograd_kernels() {
  return isa_pick(
      []() -> auto& { return baseline::winograd_table; }, []() -> auto& { return avx2::winograd_table; },
      []() -> auto& { return avx512::winograd_table; });
}

bool winograd_enabled() { return winograd_switch().load(std::memory_order_relaxed); }
void set_winograd_enabled(bool on) { winograd_switch().store(on, std::memory_order_relaxed); }

bool use_winograd(const Conv2dGeometry& g) {
  constexpr int64_t kLeastTiles = 32, kLeastChannels = 32, kStep = 16;
  const Size2 one = 1;
  const bool form = g.kh == 3 && g.kw == 3 && g.stride == one && g.dilation == one && g.groups == 1 &&
                    g.padding.h <= 2 && g.padding.w <= 2;
  const auto channels = [](int64_t c) { return c >= kLeastChannels && c <= kMaxDepth && c % kStep == 0; };
  if (!winograd_enabled() || !form || !channels(g.c) || !channels(g.o)) return false;
  // Tiles that stick out of the image cost as much as whole ones: 36 products per tile, and transforms worth
  // about twenty more, against 9 per output.
  const TiledConv conv = forward_conv(g);
  return conv.tiles() >= kLeastTiles && conv.tiles_h() * conv.tiles_w() * 56 < 9 * g.out_h * g.out_w;
}

void winograd_forward(const Conv2dGeometry& g, const float* x, const Tensor& w, const float* bias, float* y,
                      const Epilogue<float>& epilogue) {
  const auto u = cached_filters<TransformedFilters>(w, FilterForm::Winograd, 0, [&] {
    auto filters = std::make_unique<TransformedFilters>(g.c, g.o);
    filters->from_forward(w.data<float>());
    return filters;
  });
  run(forward_conv(g), *u, x, bias, y, epilogue);
}

void winograd_backward_data(const Conv2dGeometry& g, const float* dy, const float* w, float* dx) {
  TransformedFilters u(g.o, g.c);
  u.from_backward(w);
  run(data_conv(g), u, dy, nullptr, dx, {});
}

void winograd_backward_weight(const Conv2dGeometry& g, const float* dy, const float* x, float* dw) {
  WeightSums(g).run(dy, x, dw);
}

}  // namespace tern::cpu
