// Convolution as a product of patches and weights: y = patches(x) w^T, and dx = patches(dy) w with the taps
// reversed. The patches are gathered tile by tile while they are multiplied.

#include "tern/ops/conv2d.h"

#include <algorithm>

#include "tern/cpu/conv2d_grids.h"
#include "tern/cpu/conv2d_tile.h"
#include "tern/cpu/conv2d_winograd.h"
#include "tern/cpu/filter_cache.h"
#include "tern/cpu/gemm_driver.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/reference/conv2d.h"

namespace tern::cpu {
namespace {

// C[row, :] = patches(grid)[row, :] B; pointers as in run_tiles.
template <class Pointers>
void multiply_patches(const PatchGrid& grid, const PackedB& b, const float* bias, Pointers&& pointers) {
  const ConvKernels& kernels = conv_kernels();
  run_tiles<false>(
      grid.count(), b, bias, false,
      [&](int64_t row, int64_t rows, int64_t k, int64_t depth, float* packed) {
        if (depth > 0) kernels.pack_patches(grid, row, rows, k, depth, packed);
      },
      pointers);
}

void forward(const Conv2dGeometry& g, const float* x, const Tensor& w, const float* bias, float* y) {
  if (is_depthwise(g)) return depthwise_forward(g, x, w.data<float>(), bias, y);
  if (use_winograd(g)) return winograd_forward(g, x, w, bias, y);
  for (int64_t group = 0; group < g.groups; ++group) {
    const int64_t first = group * g.group_out();
    const auto b = cached_filters<PackedB>(w, FilterForm::Panels, group, [&] {
      auto panels = std::make_unique<PackedB>(g.patch(), g.group_out());
      panels->pack(w.data<float>() + first * g.patch(), g.patch(), true);
      return panels;
    });
    multiply_patches(forward_grid(g, x, group), *b, bias ? bias + first : nullptr,
                     [&](int64_t row, int64_t rows, float** c) {
                       for (int64_t r = 0; r < rows; ++r) c[r] = y + (row + r) * g.o + first;
                     });
  }
}

// Row (tap p, tap q, output o) of B is w[o, p, q, :] of the group, taps in the order of the phase.
void pack_data_weights(const Conv2dGeometry& g, const float* w, const AxisPhase& h, const AxisPhase& v,
                       PackedB& b) {
  const GemmKernels& kernels = gemm_kernels();
  const int64_t outputs = g.group_out();
  b.fill([&](int64_t k, int64_t depth, int64_t column, int64_t columns, float* panel) {
    for (const int64_t end = k + depth; k < end;) {
      const int64_t tap = k / outputs, o = k % outputs, run = std::min(outputs - o, end - k);
      const int64_t offset = h.tap(tap / v.taps) * g.kw + v.tap(tap % v.taps);
      kernels.pack_panel(w + o * g.patch() + offset * g.group_in() + column, g.patch(), run, columns, panel);
      k += run;
      panel += run * b.width;
    }
  });
}

void backward_data(const Conv2dGeometry& g, const float* dy, const float* w, float* dx) {
  if (is_depthwise(g)) return depthwise_backward_data(g, dy, w, dx);
  if (use_winograd(g)) return winograd_backward_data(g, dy, w, dx);
  for_each_phase(g, [&](const AxisPhase& h, const AxisPhase& v) {
    for (int64_t group = 0; group < g.groups; ++group) {
      const PatchGrid grid = data_grid(g, dy, group, h, v);
      PackedB b(grid.patch(), g.group_in());
      pack_data_weights(g, w + group * g.group_out() * g.patch(), h, v, b);
      multiply_patches(grid, b, nullptr, [&](int64_t row, int64_t rows, float** c) {
        for (int64_t r = 0; r < rows; ++r) {
          const int64_t j = (row + r) % grid.columns, i = (row + r) / grid.columns % grid.rows;
          const int64_t n = (row + r) / (grid.columns * grid.rows);
          const int64_t pixel = (n * g.h + h.residue + i * g.stride.h) * g.w + v.residue + j * g.stride.w;
          c[r] = dx + pixel * g.c + group * g.group_in();
        }
      });
    }
  });
}

const float* bias_data(const Tensor& bias) { return bias.defined() ? bias.data<float>() : nullptr; }

}  // namespace

const ConvKernels& conv_kernels() {
  return isa_pick(
      []() -> auto& { return baseline::conv_table; }, []() -> auto& { return avx2::conv_table; },
      []() -> auto& { return avx512::conv_table; });
}

void conv2d_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& w, const Tensor& bias,
                    const Tensor& y) {
  if (x.dtype() == DType::BF16) return conv2d_forward_bf16(g, x, w, bias, y);
  Tensor out = y;
  if (x.dtype() == DType::F64) {
    reference::conv2d_forward(g, x.data<double>(), w.data<double>(),
                              bias.defined() ? bias.data<double>() : nullptr, out.mutable_data<double>());
  } else if (use_reference()) {
    reference::conv2d_forward(g, x.data<float>(), w.data<float>(), bias_data(bias),
                              out.mutable_data<float>());
  } else {
    forward(g, x.data<float>(), w, bias_data(bias), out.mutable_data<float>());
  }
}

void conv2d_backward_data(const Conv2dGeometry& g, const Tensor& dy, const Tensor& w, const Tensor& dx) {
  if (dy.dtype() == DType::BF16) return conv2d_backward_data_bf16(g, dy, w, dx);
  Tensor out = dx;
  if (dy.dtype() == DType::F64)
    reference::conv2d_backward_data(g, dy.data<double>(), w.data<double>(), out.mutable_data<double>());
  else if (use_reference())
    reference::conv2d_backward_data(g, dy.data<float>(), w.data<float>(), out.mutable_data<float>());
  else backward_data(g, dy.data<float>(), w.data<float>(), out.mutable_data<float>());
}

}  // namespace tern::cpu
