#pragma once
// Pooling over square windows of the image plane, and over the whole plane.
//
// x[N,H,W,C] -> y[N,Ho,Wo,C], Ho = (H + 2 padding - kernel) / stride + 1 (rounded down), Wo likewise. With
// W(o) the input pixels of window o that lie inside the image:
//     max_pool2d           y[o] = max over W(o) of x           (the border counts as -inf; a NaN wins)
//                          dx[i] = sum of dy[o] over the windows o whose maximum is i (the first of equals)
//     avg_pool2d           y[o] = sum over W(o) of x / D(o)
//                          dx[i] = sum of dy[o] / D(o) over the windows o that hold i
//                          D = kernel^2, or the size of W(o) with count_include_pad = false
//     global_avg_pool2d    x[N,H,W,C] -> y[N,C], y = mean over H and W     dx = dy / (H W)
// max_pool2d keeps one byte per output, the position of the maximum in its window (hence kernel <= 16).
// Backward gathers: each input pixel visits the windows that hold it, so rows are independent and need no
// atomic additions.
//
// Cost: forward N Ho Wo C kernel^2 loads, one pass over x; backward one pass over dx with (kernel / stride)^2
// reads. Errors: ShapeError if x is not [N,H,W,C], a window does not fit, or padding exceeds half the kernel;
// UsageError for kernel or stride below 1; DTypeError for other types than f32, f64 and bf16. Source:
// PyTorch's definitions of max_pool2d and avg_pool2d (floor mode).

#include "tern/core/autograd.h"
#include "tern/core/tensor.h"

namespace tern {

struct MaxPool2dOptions {
  int64_t kernel = 2;
  int64_t stride = 0;  // 0: as the kernel
  int64_t padding = 0;
};
struct AvgPool2dOptions {
  int64_t kernel = 2;
  int64_t stride = 0;  // 0: as the kernel
  int64_t padding = 0;
  bool count_include_pad = true;
};

Tensor max_pool2d(const Tensor& x, MaxPool2dOptions options = {});
Tensor avg_pool2d(const Tensor& x, AvgPool2dOptions options = {});
Tensor global_avg_pool2d(const Tensor& x);

struct Pool2dGeometry {
  int64_t images = 0, height = 0, width = 0, channels = 0;
  int64_t out_height = 0, out_width = 0;
  int64_t kernel = 0, stride = 0, padding = 0;
  bool count_include_pad = true;

  Shape input_shape() const { return {images, height, width, channels}; }
  Shape output_shape() const { return {images, out_height, out_width, channels}; }
};

// The gradients of the input. index: u8 like dy, from the forward pass.
Tensor max_pool2d_backward(const Pool2dGeometry& geometry, const Tensor& dy, const Tensor& index);
Tensor avg_pool2d_backward(const Pool2dGeometry& geometry, const Tensor& dy);
Tensor global_avg_pool2d_backward(const Shape& input_shape, const Tensor& dy);

// What a backend provides. index may be undefined.
namespace cpu {
void max_pool2d_forward(const Pool2dGeometry& g, const Tensor& x, const Tensor& y, const Tensor& index);
void max_pool2d_backward(const Pool2dGeometry& g, const Tensor& dy, const Tensor& index, const Tensor& dx);
void avg_pool2d_forward(const Pool2dGeometry& g, const Tensor& x, const Tensor& y);
void avg_pool2d_backward(const Pool2dGeometry& g, const Tensor& dy, const Tensor& dx);
void global_avg_pool2d_forward(const Tensor& x, const Tensor& y);
void global_avg_pool2d_backward(const Tensor& dy, const Tensor& dx);
}  // namespace cpu

namespace cu {
void max_pool2d_forward(const Pool2dGeometry& g, const Tensor& x, const Tensor& y, const Tensor& index);
void max_pool2d_backward(const Pool2dGeometry& g, const Tensor& dy, const Tensor& index, const Tensor& dx);
void avg_pool2d_forward(const Pool2dGeometry& g, const Tensor& x, const Tensor& y);
void avg_pool2d_backward(const Pool2dGeometry& g, const Tensor& dy, const Tensor& dx);
void global_avg_pool2d_forward(const Tensor& x, const Tensor& y);
void global_avg_pool2d_backward(const Tensor& dy, const Tensor& dx);
}  // namespace cu

}  // namespace tern
