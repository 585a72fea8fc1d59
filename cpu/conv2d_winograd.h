#pragma once
// 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3) (cpu/winograd_kernels.h): a quarter to a third of
// the products. Rounding differs from the direct sums: relative L2 error about 1e-6 instead of 2e-7.

#include "tern/cpu/epilogue.h"
#include "tern/ops/conv2d.h"

namespace tern::cpu {

// Whether these are used at all; on unless TERN_WINOGRAD=0 was set at the start. Process-wide.
bool winograd_enabled();
void set_winograd_enabled(bool on);

// A function of the geometry alone (and the switch), not of threads or timings. It needs enough tiles, so a
// photo alone and in a large batch may take different ways and differ in the last bits.
bool use_winograd(const Conv2dGeometry& g);

void winograd_forward(const Conv2dGeometry& g, const float* x, const Tensor& w, const float* bias, float* y,
                      const Epilogue<float>& epilogue);
void winograd_backward_data(const Conv2dGeometry& g, const float* dy, const float* w, float* dx);
void winograd_backward_weight(const Conv2dGeometry& g, const float* dy, const float* x, float* dw);

}  // namespace tern::cpu
