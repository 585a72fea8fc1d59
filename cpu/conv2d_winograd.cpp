#include "tern/cpu/conv2d_winograd.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string_view>

#include "tern/core/parallel.h"
#include "tern/cpu/conv2d_rows.h"
#include "tern/cpu/conv2d_winograd_tiles.h"
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

// The filters of a TiledConv: w[out, 3, 3, in], or, reversed, w[in, 3, 3, out] turned by 180 degrees: dx is
// the convolution of dy with these.
struct Filters {
  const float* w;
  int64_t in, out;
  bool reversed;
  int64_t width = gemm_kernels().by_rows.columns;
  int64_t panels = (out + width - 1) / width;

  // Inputs [first, first + count) of one panel of outputs: component k to to + k * component, as
  // [input][kNr].
  void transform(int64_t panel, int64_t first, int64_t count, int64_t component, float* to) const {
    const WinogradKernels& kernels = winograd_kernels();
    const int64_t o = panel * width, columns = std::min(width, out - o);
    if (reversed) {
      for (int64_t i = 0; i < count; ++i)
        kernels.filter(w + (first + i) * 9 * out + o, out, columns, true, component, to + i * width);
      return;
    }
    constexpr int64_t kBlock = 16;  // transposed on the way
    const Scratch<float> rows(kComponents * width * kBlock);
    for (int64_t c = 0; c < count; c += kBlock) {
      for (int64_t r = 0; r < columns; ++r)
        kernels.filter(w + (o + r) * 9 * in + first + c, in, kBlock, false, width * kBlock,
                       rows.data() + r * kBlock);
      for (int64_t k = 0; k < kComponents; ++k)
        gemm_kernels().pack_panel_transposed(rows.data() + k * width * kBlock, kBlock, kBlock, columns,
                                             to + k * component + c * width);
    }
  }
};

// The filters as the right-hand sides of 36 products: [component][panel of outputs][input][kNr].
class TransformedFilters {
 public:
  explicit TransformedFilters(const Filters& f)
      : in_(f.in), width_(f.width), panels_(f.panels), data_(kComponents * panels_ * width_ * in_) {
    constexpr int64_t kBlock = 64;
    const int64_t blocks = (in_ + kBlock - 1) / kBlock;
    parallel_for(panels_ * blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t first = t % blocks * kBlock;
        f.transform(t / blocks, first, std::min(kBlock, in_ - first), panels_ * width_ * in_,
                    panel(0, t / blocks) + first * width_);
      }
    });
  }

  float* panel(int64_t component, int64_t p) const {
    return data_.data() + (component * panels_ + p) * width_ * in_;
  }
  int64_t panels() const { return panels_; }
  int64_t width() const { return width_; }

 private:
  int64_t in_, width_, panels_;
  Scratch<float> data_;
};

// Transformed patches [component][tile][row] and products [component][tile][out_c] of a range of
// tiles.
struct TileBuffers {
  TileBuffers(const TiledConv& conv, int64_t tiles)
      : tiles(tiles),
        row(conv.in_c + kCacheShift),
        v_component(tiles * row + 3 * kCacheShift),
        m_component(tiles * conv.out_c + 3 * kCacheShift),
        v(kComponents * v_component),
        m(kComponents * m_component) {}
  ComponentLayout layout() const { return {v_component, row, gemm_kernels().by_columns.columns}; }
  int64_t tiles, row, v_component, m_component;
  Scratch<float> v, m;
};

// m = v u for one component and the panels [first, last).
void multiply(const TiledConv& conv, const TransformedFilters& u, const TileBuffers& buffers, int64_t count,
              int64_t component, int64_t first, int64_t last) {
  const GemmKernels& kernels = gemm_kernels();
  const int64_t steps = (count + kernels.by_rows.rows - 1) / kernels.by_rows.rows;
  const int64_t tile_rows = (count + steps - 1) / steps;
  for (int64_t panel = first; panel < last; ++panel)
    for (int64_t row = 0; row < count; row += tile_rows) {
      const int64_t rows = std::min(tile_rows, count - row), column = panel * u.width();
      float* c[kMaxTileRows];
      for (int64_t r = 0; r < rows; ++r)
        c[r] = buffers.m.data() + component * buffers.m_component + (row + r) * conv.out_c;
      multiply_tile(kernels.by_rows[rows],
                    {.a = buffers.v.data() + component * buffers.v_component + row * buffers.row,
                     .a_stride = buffers.row,
                     .b = u.panel(component, panel),
                     .depth = conv.in_c,
                     .c = c,
                     .column = column,
                     .columns = std::min(u.width(), conv.out_c - column)},
                    1, u.width());
    }
}

// The row of y at which a tile of the first column begins.
int64_t row_of(const TiledConv& conv, int64_t tile) {
  const int64_t line = tile / conv.tiles_w(), n = line / conv.tiles_h(), i = line % conv.tiles_h();
  return (n * conv.out_h + i * kTileSize) * conv.out_w;
}

// Step three goes block by block of so many tiles; blocks of whole lines of tiles are rows of y.
void cut_blocks(const TiledConv& conv, const Epilogue<float>& epilogue, int64_t block) {
  if (block % conv.tiles_w() == 0) epilogue.cut((conv.tiles() + block - 1) / block);
}

// The epilogue on the outputs of a block of tiles, which have just been written.
void finish_tiles(const TiledConv& conv, const Epilogue<float>& epilogue, int64_t block, int64_t first,
                  int64_t count, float* out) {
  const int64_t row = row_of(conv, first);
  epilogue.finished(block, row_of(conv, first + count) - row, out + row * conv.out_c, 0, 0, conv.out_c);
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
  cut_blocks(conv, epilogue, kTiles);
  parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    const TileBuffers buffers(conv, kTiles);
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kTiles, count = std::min(kTiles, conv.tiles() - first);
      kernels.patches(conv.in_grid(), in, first, count, buffers.layout(), buffers.v.data());
      for (int64_t k = 0; k < kComponents; ++k) multiply(conv, u, buffers, count, k, 0, u.panels());
      kernels.outputs(conv.out_grid(), buffers.m.data(), buffers.m_component, bias, first, count, out);
      finish_tiles(conv, epilogue, block, first, count, out);
    }
  });
}

// Step three for `count` tiles from tile `first` on, whose products are the first of the buffers.
void write_outputs(const TiledConv& conv, const TileBuffers& buffers, const float* bias, int64_t block,
                   int64_t first, int64_t count, float* out, const Epilogue<float>& epilogue) {
  parallel_for((count + block - 1) / block, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i * block, tiles = std::min(block, count - row);
      winograd_kernels().outputs(conv.out_grid(), buffers.m.data() + row * conv.out_c, buffers.m_component,
                                 bias, first + row, tiles, out);
      finish_tiles(conv, epilogue, first / block + i, first + row, tiles, out);
    }
  });
}

// Many channels: the filters are large, so every step runs over many tiles before the next begins.
void run_in_steps(const TiledConv& conv, const TransformedFilters& u, const float* in, const float* bias,
                  float* out, const Epilogue<float>& epilogue) {
  constexpr int64_t kTiles = 256, kChunk = 4, kPanels = 4, kManyTiles = 512;
  const WinogradKernels& kernels = winograd_kernels();
  const TileBuffers buffers(conv, std::min(kTiles, conv.tiles()));
  const int64_t ranges = (u.panels() + kPanels - 1) / kPanels;
  const int64_t block = conv.tiles() < kManyTiles ? kChunk : 4 * kChunk;  // divides kTiles
  cut_blocks(conv, epilogue, block);
  for (int64_t first = 0; first < conv.tiles(); first += kTiles) {
    const int64_t count = std::min(kTiles, conv.tiles() - first);
    parallel_for(count, kChunk, [&](int64_t begin, int64_t end) {
      kernels.patches(conv.in_grid(), in, first + begin, end - begin, buffers.layout(),
                      buffers.v.data() + begin * buffers.row);
    });
    parallel_for(kComponents * ranges, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        multiply(conv, u, buffers, count, i / ranges, i % ranges * kPanels,
                 std::min(u.panels(), (i % ranges + 1) * kPanels));
    });
    write_outputs(conv, buffers, bias, block, first, count, out, epilogue);
  }
}

void run(const TiledConv& conv, const TransformedFilters& u, const float* in, const float* bias, float* out,
         const Epilogue<float>& epilogue) {
  constexpr int64_t kFewProducts = 160 * 160;
  if (conv.in_c * conv.out_c <= kFewProducts) run_fused(conv, u, in, bias, out, epilogue);
  else run_in_steps(conv, u, in, bias, out, epilogue);
}

// Few tiles for many channels: the transformed filters would be the largest thing by far and be used once. A
// thread transforms a block of them into its second-level cache and uses it at once. The same sums in the
// same order.
void run_by_filters(const TiledConv& conv, const Filters& filters, const float* in, const float* bias,
                    float* out, const Epilogue<float>& epilogue) {
  constexpr int64_t kChunk = 4, kOutputs = 64;
  const WinogradKernels& kernels = winograd_kernels();
  const GemmKernels& gemm = gemm_kernels();
  const int64_t count = conv.tiles(), width = filters.width, group = std::max<int64_t>(1, kOutputs / width);
  const TileBuffers buffers(conv, count);
  const Segments rows(count, gemm.by_rows.rows);
  cut_blocks(conv, epilogue, kChunk);
  parallel_for(count, kChunk, [&](int64_t begin, int64_t end) {
    kernels.patches(conv.in_grid(), in, begin, end - begin, buffers.layout(),
                    buffers.v.data() + begin * buffers.row);
  });
  parallel_for((filters.panels + group - 1) / group, 1, [&](int64_t begin, int64_t end) {
    const int64_t block = kSumLength * width;  // one component of one panel
    const Scratch<float> u(kComponents * group * block);
    for (int64_t g = begin; g < end; ++g)
      for (int64_t k = 0; k < conv.in_c; k += kSumLength) {
        const int64_t depth = std::min(kSumLength, conv.in_c - k), first = g * group;
        const int64_t last = std::min(filters.panels, first + group);
        for (int64_t p = first; p < last; ++p)
          filters.transform(p, k, depth, group * block, u.data() + (p - first) * block);
        for (int64_t i = 0; i < kComponents * (last - first) * rows.count; ++i) {
          const int64_t row = rows.begin(i % rows.count), used = rows.size(i % rows.count);
          const int64_t p = i / rows.count % (last - first), component = i / rows.count / (last - first);
          float* c[kMaxTileRows];
          for (int64_t r = 0; r < used; ++r)
            c[r] = buffers.m.data() + component * buffers.m_component + (row + r) * conv.out_c;
          gemm.by_rows[used]({.a = buffers.v.data() + component * buffers.v_component + row * buffers.row + k,
                              .a_stride = buffers.row,
                              .b = u.data() + (component * group + p) * block,
                              .depth = depth,
                              .c = c,
                              .column = (first + p) * width,
                              .columns = std::min(width, conv.out_c - (first + p) * width),
                              .accumulate = k > 0});
        }
      }
  });
  write_outputs(conv, buffers, bias, kChunk, 0, count, out, epilogue);
}

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
  const TiledConv conv = forward_conv(g);
  const Filters filters{w.data<float>(), g.c, g.o, false};
  if (grad_enabled() && conv.tiles() <= kFewTiles) return run_by_filters(conv, filters, x, bias, y, epilogue);
  const auto u = cached_filters<TransformedFilters>(
      w, FilterForm::Winograd, 0, [&] { return std::make_unique<TransformedFilters>(filters); });
  run(conv, *u, x, bias, y, epilogue);
}

void winograd_backward_data(const Conv2dGeometry& g, const float* dy, const float* w, float* dx) {
  const TiledConv conv = data_conv(g);
  const Filters filters{w, g.o, g.c, true};
  if (conv.tiles() <= kFewTiles) return run_by_filters(conv, filters, dy, nullptr, dx, {});
  run(conv, TransformedFilters(filters), dy, nullptr, dx, {});
}

}  // namespace tern::cpu
