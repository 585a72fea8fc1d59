#pragma once
// 1x1 convolutions that skip nothing: y = x w^T over all pixels, dx = dy w. No image any more, just pixels.

#include <memory>

#include "tern/cpu/epilogue.h"
#include "tern/cpu/gemm.h"
#include "tern/cpu/prefetch.h"
#include "tern/ops/conv2d.h"

namespace tern::cpu {

inline bool is_pointwise(const Conv2dGeometry& g) {
  const Size2 one = 1, none = 0;
  return g.kh == 1 && g.kw == 1 && g.stride == one && g.padding == none && g.groups == 1;
}

// Of the second-level cache, for the filters that stay in it; the rest is for pixels.
inline constexpr double kFilterShare = 0.75;

// The pixels that are taken through all output channels before the next: a panel of the filters is read from
// the first-level cache for all of their tiles.
inline constexpr int64_t kPixelGroup = 56;

// w^T [c,o] in panels, kept with the weight in inference.
std::shared_ptr<const PackedB> pointwise_filters(const Conv2dGeometry& g, const Tensor& w);

// c = act(a B + bias + residual) for some pixels and some panels of B.
struct PixelProduct {
  const float* a;   // its first pixel
  int64_t a_pixel;  // floats from one to the next
  int64_t pixels;
  const PackedB& b;  // one block of depth
  int64_t first_panel, last_panel;
  const float* bias;  // may be null
  float* c;
  int64_t c_pixel;
  const Epilogue<float>& epilogue;
};
void multiply_pixels(const PixelProduct& p, Prefetch ahead = {});

void pointwise_forward(const Conv2dGeometry& g, const float* x, const Tensor& w, const float* bias, float* y,
                       const Epilogue<float>& epilogue);
void pointwise_backward_data(const Conv2dGeometry& g, const float* dy, const float* w, float* dx);

}  // namespace tern::cpu
