// A product of many rows and short sums:
//
//   for each range of panels of filters that fits the second-level cache     (tasks, in parallel)
//     for each span of pixels whose outputs fit it, too                      (tasks, in parallel)
//       for each group of pixels
//         for each panel                 of kNr output channels: in the first-level cache
//           for each tile of pixels      kMr x kNr multiply-adds in registers for each input channel
//       the moments of the span's outputs, if asked for
//
// x is read where it lies: a tile's pixels are neighbours.

#include "tern/cpu/conv2d_pointwise.h"

#include <algorithm>

#include "tern/core/parallel.h"
#include "tern/cpu/conv2d_rows.h"
#include "tern/cpu/filter_cache.h"
#include "tern/cpu/isa.h"

namespace tern::cpu {
namespace {

// All pixels. The bits do not depend on how they are cut into tasks.
void multiply_all(const float* a, int64_t pixels, const PackedB& b, const float* bias, float* c,
                  const Epilogue<float>& epilogue) {
  constexpr int64_t kTasks = 16, kFewPixels = 512, kSpan = 4 * kPixelGroup;
  const int64_t channels = b.blocks.k;
  const Segments spans(pixels, pixels <= kFewPixels ? kPixelGroup : kSpan);
  // A photo alone: reading the filters is the work, so threads share them out instead of the pixels.
  const int64_t least = pixels <= kFewPixels ? kTasks / std::max<int64_t>(1, spans.count) : 1;
  const PanelRanges panels(b, channels, kFilterShare, least);
  const int64_t pitch = spread(channels);
  const bool copies = pitch != channels;
  epilogue.cut(spans.count);
  parallel_for(spans.count * panels.count, 1, [&](int64_t begin, int64_t end) {
    const Scratch<float> copy(copies ? kPixelGroup * pitch : 0);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t span = task % spans.count, range = task / spans.count, first = spans.begin(span);
      PixelProduct p{.a = nullptr,
                     .a_pixel = channels,
                     .pixels = 0,
                     .b = b,
                     .first_panel = panels.begin(range),
                     .last_panel = panels.end(range),
                     .bias = bias,
                     .c = nullptr,
                     .c_pixel = b.n,
                     .epilogue = epilogue};
      const Segments groups(spans.size(span), kPixelGroup);
      for (int64_t group = 0; group < groups.count; ++group) {
        const int64_t pixel = first + groups.begin(group), next = first + groups.begin(group + 1);
        p.pixels = next - pixel;
        p.a = a + pixel * channels;
        p.c = c + pixel * b.n;
        if (copies) {
          for (int64_t i = 0; i < p.pixels; ++i)
            std::copy_n(p.a + i * channels, channels, copy.data() + i * pitch);
          p.a = copy.data();
          p.a_pixel = pitch;
        }
        Prefetch ahead;
        if (next < pixels && (task + 1 < end || group + 1 < groups.count)) {
          const int64_t tiles = Segments(p.pixels, gemm_kernels().by_rows.rows).count;
          ahead = Prefetch(a + next * channels, std::min(kPixelGroup, pixels - next), channels, channels,
                           tiles * (p.last_panel - p.first_panel));
        }
        multiply_pixels(p, ahead);
      }
      const int64_t column = p.first_panel * b.width;
      epilogue.finished(span, spans.size(span), c + first * b.n, 0, column,
                        std::min(b.n, p.last_panel * b.width) - column);
    }
  });
}

}  // namespace

void multiply_pixels(const PixelProduct& p, Prefetch ahead) {
  const RegisterTile& kernels = gemm_kernels().by_rows;
  const bool later = p.epilogue.has_residual();  // comes before the activation
  for (int64_t begin = 0; begin < p.pixels; begin += kPixelGroup) {
    const int64_t count = std::min(kPixelGroup, p.pixels - begin);
    float *const c = p.c + begin * p.c_pixel, *rows[kPixelGroup];
    for (int64_t r = 0; r < count; ++r) rows[r] = c + r * p.c_pixel;
    const Segments tiles(count, kernels.rows);
    for (int64_t panel = p.first_panel; panel < p.last_panel; ++panel)
      for (int64_t t = 0; t < tiles.count; ++t) {
        const int64_t column = panel * p.b.width, first = tiles.begin(t), size = tiles.size(t);
        ahead.step();
        kernels[size]({.a = p.a + (begin + first) * p.a_pixel,
                       .a_stride = p.a_pixel,
                       .b = p.b.panel(0, panel),
                       .depth = p.b.blocks.k,
                       .c = rows + first,
                       .bias = p.bias ? p.bias + column : nullptr,
                       .slope = p.epilogue.slope() ? p.epilogue.slope() + column : nullptr,
                       .activation = later ? Activation::None : p.epilogue.activation(),
                       .column = column,
                       .columns = std::min(p.b.width, p.b.n - column)});
      }
    const int64_t column = p.first_panel * p.b.width;
    if (later)
      p.epilogue.apply(c, 0, column, std::min(p.b.n, p.last_panel * p.b.width) - column, count, p.c_pixel);
  }
}

std::shared_ptr<const PackedB> pointwise_filters(const Conv2dGeometry& g, const Tensor& w) {
  return cached_filters<PackedB>(w, FilterForm::Panels, 0, [&] {
    auto panels = std::make_unique<PackedB>(g.c, g.o, g.c);
    panels->pack(w.data<float>(), g.c, true);
    return panels;
  });
}

void pointwise_forward(const Conv2dGeometry& g, const float* x, const Tensor& w, const float* bias, float* y,
                       const Epilogue<float>& epilogue) {
  multiply_all(x, g.pixels(), *pointwise_filters(g, w), bias, y, epilogue);
}

void pointwise_backward_data(const Conv2dGeometry& g, const float* dy, const float* w, float* dx) {
  PackedB b(g.o, g.c, g.o);
  b.pack(w, g.c, false);
  multiply_all(dy, g.pixels(), b, nullptr, dx, {});
}

}  // namespace tern::cpu
