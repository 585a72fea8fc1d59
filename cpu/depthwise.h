#pragma once
// Depthwise convolution (one filter for each channel), f32 or bf16 activations, f32 weights w[C,kH,kW].

#include <memory>

#include "tern/core/dtype.h"
#include "tern/cpu/epilogue.h"
#include "tern/cpu/scratch.h"
#include "tern/ops/conv2d.h"

namespace tern::cpu {

inline bool is_depthwise(const Conv2dGeometry& g) { return g.groups == g.c && g.groups == g.o; }

// The forward pass row by row. w: f32 [C,kH,kW,1]; bias may be null; g and epilogue must stay alive.
template <class T>
class DepthwiseRows {
 public:
  DepthwiseRows(const Conv2dGeometry& g, const Tensor& w, const float* bias, const Epilogue<T>& epilogue);
  // Output row i of an image of which the rows [first, first + count) lie at x, to pixels y_pixel apart. All
  // rows of the image that it reads must be among them.
  void run(const T* x, int64_t first, int64_t count, int64_t i, T* y, int64_t y_pixel) const;

 private:
  const Conv2dGeometry& g_;
  const float* bias_;
  const Epilogue<T>& epilogue_;
  std::shared_ptr<const Scratch<float>> weights_;  // [tap][channel]
};

template <class T>
void depthwise_forward(const Conv2dGeometry& g, const T* x, const Tensor& w, const float* bias, T* y,
                       const Epilogue<T>& epilogue = {});
template <class T>
void depthwise_backward_data(const Conv2dGeometry& g, const T* dy, const float* w, T* dx);
// The sum over pixels is cut into slices of image rows that the shape decides.
template <class T>
void depthwise_backward_weight(const Conv2dGeometry& g, const T* dy, const T* x, float* dw);

}  // namespace tern::cpu
