#include "tern/ops/pool2d.h"

#include <algorithm>

#include "tern/core/parallel.h"
#include "tern/cpu/bf16.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/pool2d_kernels.h"
#include "tern/cpu/reference/pool2d.h"

namespace tern::cpu {
namespace {

const Pool2dKernels& pool2d_kernels() {
  return isa_pick(
      []() -> auto& { return baseline::pool2d_table; }, []() -> auto& { return avx2::pool2d_table; },
      []() -> auto& { return avx512::pool2d_table; });
}

Pool2dSizes sizes_of(const Pool2dGeometry& g) {
  return {g.height, g.width,  g.channels, g.out_height,       g.out_width,
          g.kernel, g.stride, g.padding,  g.count_include_pad};
}

// naive(T{}) for what the naive loops do, fast(T{}) for the vector kernels; in_f32() runs the operation on
// f32 copies of bf16 tensors.
template <class Naive, class Fast, class InF32>
void dispatch(DType dtype, const Naive& naive, const Fast& fast, const InF32& in_f32) {
  switch (dtype) {
    case DType::F64: return naive(double{});
    case DType::F32: return use_reference() ? naive(float{}) : fast(float{});
    case DType::BF16: return use_reference() ? in_f32() : fast(bfloat16{});
    default: break;
  }
  check<DTypeError>(false, "pool2d: ", dtype, " is not supported; hint: cast with to(DType::F32)");
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
  dispatch(
      x.dtype(),
      [&]<class T>(T) { reference::max_pool2d_forward(g, x.data<T>(), y.mutable_data<T>(), where); },
      [&]<class T>(T) {
        const Pool2dSizes s = sizes_of(g);
        const Pool2dKernelsOf<T>& k = pool2d_kernels();
        const T* in = x.data<T>();
        T* out = y.mutable_data<T>();
        const int64_t image = g.height * g.width * g.channels, row = g.out_width * g.channels;
        for_rows(g.images, g.out_height, row * g.kernel, [&](int64_t n, int64_t oh) {
          const int64_t o = (n * g.out_height + oh) * row;
          k.max_forward(s, in + n * image, oh, out + o, where ? where + o : nullptr);
        });
      },
      [&] { narrowing(y, [&](const Tensor& out) { max_pool2d_forward(g, widened(x), out, index); }); });
}

void max_pool2d_backward(const Pool2dGeometry& g, const Tensor& dy, const Tensor& index, const Tensor& dx) {
  const uint8_t* where = index.data<uint8_t>();
  dispatch(
      dy.dtype(),
      [&]<class T>(T) { reference::max_pool2d_backward(g, dy.data<T>(), where, dx.mutable_data<T>()); },
      [&]<class T>(T) {
        const Pool2dSizes s = sizes_of(g);
        const Pool2dKernelsOf<T>& k = pool2d_kernels();
        const T* up = dy.data<T>();
        T* out = dx.mutable_data<T>();
        const int64_t image = g.out_height * g.out_width * g.channels, row = g.width * g.channels;
        for_rows(g.images, g.height, row, [&](int64_t n, int64_t ih) {
          k.max_backward(s, up + n * image, where + n * image, ih, out + (n * g.height + ih) * row);
        });
      },
      [&] { narrowing(dx, [&](const Tensor& out) { max_pool2d_backward(g, widened(dy), index, out); }); });
}

void avg_pool2d_forward(const Pool2dGeometry& g, const Tensor& x, const Tensor& y) {
  dispatch(
      x.dtype(), [&]<class T>(T) { reference::avg_pool2d_forward(g, x.data<T>(), y.mutable_data<T>()); },
      [&]<class T>(T) {
        const Pool2dSizes s = sizes_of(g);
        const Pool2dKernelsOf<T>& k = pool2d_kernels();
        const T* in = x.data<T>();
        T* out = y.mutable_data<T>();
        const int64_t image = g.height * g.width * g.channels, row = g.out_width * g.channels;
        for_rows(g.images, g.out_height, row * g.kernel, [&](int64_t n, int64_t oh) {
          k.average_forward(s, in + n * image, oh, out + (n * g.out_height + oh) * row);
        });
      },
      [&] { narrowing(y, [&](const Tensor& out) { avg_pool2d_forward(g, widened(x), out); }); });
}

void avg_pool2d_backward(const Pool2dGeometry& g, const Tensor& dy, const Tensor& dx) {
  dispatch(
      dy.dtype(), [&]<class T>(T) { reference::avg_pool2d_backward(g, dy.data<T>(), dx.mutable_data<T>()); },
      [&]<class T>(T) {
        const Pool2dSizes s = sizes_of(g);
        const Pool2dKernelsOf<T>& k = pool2d_kernels();
        const T* up = dy.data<T>();
        T* out = dx.mutable_data<T>();
        const int64_t image = g.out_height * g.out_width * g.channels, row = g.width * g.channels;
        for_rows(g.images, g.height, row, [&](int64_t n, int64_t ih) {
          k.average_backward(s, up + n * image, ih, out + (n * g.height + ih) * row);
        });
      },
      [&] { narrowing(dx, [&](const Tensor& out) { avg_pool2d_backward(g, widened(dy), out); }); });
}

void global_avg_pool2d_forward(const Tensor& x, const Tensor& y) {
  const int64_t pixels = x.size(1) * x.size(2), channels = x.size(3);
  dispatch(
      x.dtype(),
      [&]<class T>(T) {
        reference::global_avg_pool2d_forward(x.size(0), pixels, channels, x.data<T>(), y.mutable_data<T>());
      },
      [&]<class T>(T) {
        const Pool2dKernelsOf<T>& k = pool2d_kernels();
        const T* in = x.data<T>();
        T* out = y.mutable_data<T>();
        for_channel_blocks(x.shape(), [&](int64_t n, int64_t c, int64_t count) {
          k.mean_forward(pixels, count, channels, in + n * pixels * channels + c, out + n * channels + c);
        });
      },
      [&] { narrowing(y, [&](const Tensor& out) { global_avg_pool2d_forward(widened(x), out); }); });
}

void global_avg_pool2d_backward(const Tensor& dy, const Tensor& dx) {
  const int64_t pixels = dx.size(1) * dx.size(2), channels = dx.size(3);
  dispatch(
      dy.dtype(),
      [&]<class T>(T) {
        reference::global_avg_pool2d_backward(dx.size(0), pixels, channels, dy.data<T>(),
                                              dx.mutable_data<T>());
      },
      [&]<class T>(T) {
        const Pool2dKernelsOf<T>& k = pool2d_kernels();
        const T* up = dy.data<T>();
        T* out = dx.mutable_data<T>();
        for_channel_blocks(dx.shape(), [&](int64_t n, int64_t c, int64_t count) {
          k.mean_backward(pixels, count, channels, up + n * channels + c, out + n * pixels * channels + c);
        });
      },
      [&] { narrowing(dx, [&](const Tensor& out) { global_avg_pool2d_backward(widened(dy), out); }); });
}

}  // namespace tern::cpu
