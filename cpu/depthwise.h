#pragma once
// Depthwise convolution (one filter for each channel), f32 or bf16 activations, f32 weights w[C,kH,kW].

#include "tern/core/dtype.h"
#include "tern/cpu/epilogue.h"
#include "tern/ops/conv2d.h"

namespace tern::cpu {

inline bool is_depthwise(const Conv2dGeometry& g) { return g.groups == g.c && g.groups == g.o; }

// bias may be null.
template <class T>
void depthwise_forward(const Conv2dGeometry& g, const T* x, const float* w, const float* bias, T* y,
                       const Epilogue<T>& epilogue = {});
template <class T>
void depthwise_backward_data(const Conv2dGeometry& g, const T* dy, const float* w, T* dx);
// The sum over pixels is cut into slices of image rows that the shape decides.
template <class T>
void depthwise_backward_weight(const Conv2dGeometry& g, const T* dy, const T* x, float* dw);

}  // namespace tern::cpu
