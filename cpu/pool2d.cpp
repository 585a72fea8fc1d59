#include "tern/ops/pool2d.h"

#include <algorithm>

#include "tern/core/parallel.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/pool2d_kernels.h"
#include "tern/cpu/reference/pool2d.h"

namespace tern::cpu {
namespace {

const Pool2dKernels& kernels() {
  return isa_pick(
      []() -> auto& { return baseline::pool2d_table; }, []() -> auto& { return avx2::pool2d_table; },
      []() -> auto& { return avx512::pool2d_table; });
}

Pool2dSizes sizes_of(const Pool2dGeometry& g) {
  return {g.height, g.width,  g.channels, g.out_height,       g.out_width,
          g.kernel, g.stride, g.padding,  g.count_include_pad};
}

// Runs fn(T{}) of the naive loops if they are to be used.
template <class Fn>
bool by_reference(DType dtype, const Fn& fn) {
  check<DTypeError>(dtype == DType::F32 || dtype == DType::F64, "pool2d: ", dtype, " is not supported yet");
  if (dtype == DType::F64) return fn(double{}), true;
  if (use_reference()) return fn(float{}), true;
  return false;
}

// Rows of work per parallel chunk: about 16 thousand elements.
int64_t grain_of(int64_t elements_per_row) {
  return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, elements_per_row));
}

// body(image, row) over all rows of all images, in parallel.
template <class Body>
void for_rows(int64_t images, int64_t rows, int64_t elements_per_row, const Body& body) {
  parallel_for(images * rows, grain_of(elements_per_row), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(i / rows, i % rows);
  });
}

// body(image, first channel, channels) over blocks of channels of each image, in parallel.
template <class Body>
void for_channel_blocks(const Shape& input, const Body& body) {
  constexpr int64_t kBlock = 64;
  const int64_t channels = input[3], blocks = (channels + kBlock - 1) / kBlock;
  const int64_t elements = input[1] * input[2] * std::min(channels, kBlock);
  parallel_for(input[0] * blocks, grain_of(elements), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t c = i % blocks * kBlock;
      body(i / blocks, c, std::min(kBlock, channels - c));
    }
  });
}

}  // namespace

void max_pool2d_forward(const Pool2dGeometry& g, const Tensor& x, const Tensor& y, const Tensor& index) {
  uint8_t* where = index.defined() ? index.mutable_data<uint8_t>() : nullptr;
  if (by_reference(x.dtype(), [&](auto t) {
        using T = decltype(t);
        reference::max_pool2d_forward(g, x.data<T>(), y.mutable_data<T>(), where);
      }))
    return;
  const Pool2dSizes s = sizes_of(g);
  const float* in = x.data<float>();
  float* out = y.mutable_data<float>();
  const int64_t image = g.height * g.width * g.channels, row = g.out_width * g.channels;
  for_rows(g.images, g.out_height, row * g.kernel, [&](int64_t n, int64_t oh) {
    const int64_t o = (n * g.out_height + oh) * row;
    kernels().max_forward(s, in + n * image, oh, out + o, where ? where + o : nullptr);
  });
}

void max_pool2d_backward(const Pool2dGeometry& g, const Tensor& dy, const Tensor& index, const Tensor& dx) {
  const uint8_t* where = index.data<uint8_t>();
  if (by_reference(dy.dtype(), [&](auto t) {
        using T = decltype(t);
        reference::max_pool2d_backward(g, dy.data<T>(), where, dx.mutable_data<T>());
      }))
    return;
  const Pool2dSizes s = sizes_of(g);
  const float* up = dy.data<float>();
  float* out = dx.mutable_data<float>();
  const int64_t image = g.out_height * g.out_width * g.channels, row = g.width * g.channels;
  for_rows(g.images, g.height, row, [&](int64_t n, int64_t ih) {
    kernels().max_backward(s, up + n * image, where + n * image, ih, out + (n * g.height + ih) * row);
  });
}

void avg_pool2d_forward(const Pool2dGeometry& g, const Tensor& x, const Tensor& y) {
  if (by_reference(x.dtype(), [&](auto t) {
        using T = decltype(t);
        reference::avg_pool2d_forward(g, x.data<T>(), y.mutable_data<T>());
      }))
    return;
  const Pool2dSizes s = sizes_of(g);
  const float* in = x.data<float>();
  float* out = y.mutable_data<float>();
  const int64_t image = g.height * g.width * g.channels, row = g.out_width * g.channels;
  for_rows(g.images, g.out_height, row * g.kernel, [&](int64_t n, int64_t oh) {
    kernels().average_forward(s, in + n * image, oh, out + (n * g.out_height + oh) * row);
  });
}

void avg_pool2d_backward(const Pool2dGeometry& g, const Tensor& dy, const Tensor& dx) {
  if (by_reference(dy.dtype(), [&](auto t) {
        using T = decltype(t);
        reference::avg_pool2d_backward(g, dy.data<T>(), dx.mutable_data<T>());
      }))
    return;
  const Pool2dSizes s = sizes_of(g);
  const float* up = dy.data<float>();
  float* out = dx.mutable_data<float>();
  const int64_t image = g.out_height * g.out_width * g.channels, row = g.width * g.channels;
  for_rows(g.images, g.height, row, [&](int64_t n, int64_t ih) {
    kernels().average_backward(s, up + n * image, ih, out + (n * g.height + ih) * row);
  });
}

void global_avg_pool2d_forward(const Tensor& x, const Tensor& y) {
  const int64_t pixels = x.size(1) * x.size(2), channels = x.size(3);
  if (by_reference(x.dtype(), [&](auto t) {
        using T = decltype(t);
        reference::global_avg_pool2d_forward(x.size(0), pixels, channels, x.data<T>(), y.mutable_data<T>());
      }))
    return;
  const float* in = x.data<float>();
  float* out = y.mutable_data<float>();
  for_channel_blocks(x.shape(), [&](int64_t n, int64_t c, int64_t count) {
    kernels().mean_forward(pixels, count, channels, in + n * pixels * channels + c, out + n * channels + c);
  });
}

void global_avg_pool2d_backward(const Tensor& dy, const Tensor& dx) {
  const int64_t pixels = dx.size(1) * dx.size(2), channels = dx.size(3);
  if (by_reference(dy.dtype(), [&](auto t) {
        using T = decltype(t);
        reference::global_avg_pool2d_backward(dx.size(0), pixels, channels, dy.data<T>(),
                                              dx.mutable_data<T>());
      }))
    return;
  const float* up = dy.data<float>();
  float* out = dx.mutable_data<float>();
  for_channel_blocks(dx.shape(), [&](int64_t n, int64_t c, int64_t count) {
    kernels().mean_backward(pixels, count, channels, up + n * channels + c, out + n * pixels * channels + c);
  });
}

}  // namespace tern::cpu
