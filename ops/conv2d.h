#pragma once
// Two-dimensional convolution (cross-correlation, as every framework means it), channels last.
//
//   y[n,i,j,o] = b[o] + sum over p, q, c of x[n, i s_h + p d_h - P_h, j s_w + q d_w - P_w, c] w[o,p,q,c]
//
// with stride s, dilation d, padding P; x is 0 outside of the image. With G groups the input channels of
// output channel o are those of its group, o / (O/G).
//
//   x[N,H,W,C] w[O,kH,kW,C/G] b[O] -> y[N,Ho,Wo,O],   Ho = floor((H + 2 P_h - d_h (kH - 1) - 1) / s_h) + 1
//
//   dx[n,h,v,c] = sum of dy[n,i,j,o] w[o,p,q,c]
//                 over all (i,j,o,p,q) with i s_h + p d_h - P_h = h and j s_w + q d_w - P_w = v
//   dw[o,p,q,c] = sum over n, i, j of dy[n,i,j,o] x[n, i s_h + p d_h - P_h, j s_w + q d_w - P_w, c]
//   db[o]       = sum over n, i, j of dy[n,i,j,o]
//
// Cost: 2 N Ho Wo O kH kW C/G operations for each of y, dx, dw. f32, f64, and bf16 activations
// with f32 parameters: w is rounded to bf16, sums are f32, dw and db are f32. An empty batch gives an empty
// y, dx and zero dw, db. Errors: ShapeError for sizes that do not fit, DTypeError for mixed or unsupported
// types, UsageError for options out of range. Source: Dumoulin and Visin, A guide to convolution arithmetic
// for deep learning, 2016.

#include <span>

#include "tern/core/tensor.h"
#include "tern/ops/activation.h"

namespace tern {

// A pair of sizes; one number stands for both.
struct Size2 {
  constexpr Size2(int64_t both) : h(both), w(both) {}  // implicit: {.stride = 2}
  constexpr Size2(int64_t h, int64_t w) : h(h), w(w) {}
  friend constexpr bool operator==(const Size2&, const Size2&) = default;
  int64_t h, w;
};

struct Conv2dOptions {
  Size2 stride = 1;
  Size2 padding = 0;  // zeros on both sides
  Size2 dilation = 1;
  int64_t groups = 1;
};

// Every size of one convolution, checked; kernels trust it.
struct Conv2dGeometry {
  int64_t n = 0, h = 0, w = 0, c = 0;  // x
  int64_t o = 0, kh = 0, kw = 0;       // w; its last size is group_in()
  int64_t out_h = 0, out_w = 0;        // y
  Size2 stride = 1, padding = 0, dilation = 1;
  int64_t groups = 1;

  int64_t group_in() const { return c / groups; }
  int64_t group_out() const { return o / groups; }
  int64_t patch() const { return kh * kw * group_in(); }  // inputs of one output
  int64_t pixels() const { return n * out_h * out_w; }
  Shape x_shape() const { return {n, h, w, c}; }
  Shape w_shape() const { return {o, kh, kw, group_in()}; }
  Shape y_shape() const { return {n, out_h, out_w, o}; }
};
Conv2dGeometry conv2d_geometry(const Shape& x, const Shape& w, const Conv2dOptions& options);

Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias = {}, const Conv2dOptions& options = {});

// conv2d, and what a batch normalisation in training needs of y, taken while it is written.
struct Conv2dWithStatistics {
  Tensor y;
  Tensor statistics =
      {};  // f64 [2,O], mean and biased variance; undefined where they need a pass of their own
};
Conv2dWithStatistics conv2d_with_statistics(const Tensor& x, const Tensor& w, const Tensor& bias = {},
                                            const Conv2dOptions& options = {});

// A convolution and what follows it, in one pass and without history: y = act(conv(x) + bias + residual).
struct Conv2dEpilogue {
  Tensor residual = {};  // like y; may be undefined
  Tensor slope = {};     // [O], f32 (f64 for f64): PReLU's
  Activation activation = Activation::None;
};
// For inference: throws UsageError while gradients are recorded.
Tensor conv2d_fused(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                    const Conv2dEpilogue& epilogue);

// conv2d_fused one after another, each on the output of the one before. On a CPU 1x1 and depthwise
// convolutions of a batch run depth first, an image at a time, so that what lies between them stays in a
// cache; the results have the same bits either way.
struct Conv2dStep {
  Tensor weight, bias = {};
  Conv2dOptions options = {};
  Conv2dEpilogue epilogue = {};
};
Tensor conv2d_chain(const Tensor& x, std::span<const Conv2dStep> steps);

Tensor conv2d_backward_data(const Conv2dGeometry& geometry, const Tensor& dy, const Tensor& w);
Tensor conv2d_backward_weight(const Conv2dGeometry& geometry, const Tensor& dy, const Tensor& x);
Tensor conv2d_backward_bias(const Conv2dGeometry& geometry, const Tensor& dy);

// What a backend provides. The last tensor is written, every element of it; bias may be undefined.
namespace cpu {
void conv2d_forward(const Conv2dGeometry&, const Tensor& x, const Tensor& w, const Tensor& bias,
                    const Tensor& y);
void conv2d_forward_fused(const Conv2dGeometry&, const Tensor& x, const Tensor& w, const Tensor& bias,
                          const Conv2dEpilogue&, const Tensor& y);
// Whether it wrote the statistics, too.
bool conv2d_forward_statistics(const Conv2dGeometry&, const Tensor& x, const Tensor& w, const Tensor& bias,
                               const Tensor& y, const Tensor& statistics);
// Whether conv2d_chain takes these; of each step its geometry.
bool conv2d_chain_fits(std::span<const Conv2dGeometry>, const Tensor& x, std::span<const Conv2dStep>);
void conv2d_chain(std::span<const Conv2dGeometry>, const Tensor& x, std::span<const Conv2dStep>,
                  const Tensor& y);
void conv2d_backward_data(const Conv2dGeometry&, const Tensor& dy, const Tensor& w, const Tensor& dx);
void conv2d_backward_weight(const Conv2dGeometry&, const Tensor& dy, const Tensor& x, const Tensor& dw);
void conv2d_backward_bias(const Conv2dGeometry&, const Tensor& dy, const Tensor& db);
}  // namespace cpu
namespace cu {
void conv2d_forward(const Conv2dGeometry&, const Tensor& x, const Tensor& w, const Tensor& bias,
                    const Tensor& y);
void conv2d_forward_fused(const Conv2dGeometry&, const Tensor& x, const Tensor& w, const Tensor& bias,
                          const Conv2dEpilogue&, const Tensor& y);
void conv2d_backward_data(const Conv2dGeometry&, const Tensor& dy, const Tensor& w, const Tensor& dx);
void conv2d_backward_weight(const Conv2dGeometry&, const Tensor& dy, const Tensor& x, const Tensor& dw);
void conv2d_backward_bias(const Conv2dGeometry&, const Tensor& dy, const Tensor& db);
}  // namespace cu

}  // namespace tern
