// Pools, one thread for 16 bytes of channels of one pixel. Forward threads visit their window; backward
// threads gather from the windows that hold their pixel, in ascending order, so that nothing is added
// atomically.

#include "tern/ops/pool2d.h"

#include "tern/cuda/alignment.h"
#include "tern/cuda/channel_tiles.cuh"

namespace tern::cu {
namespace {

struct Range {
  int64_t begin, end;
};
// Positions of window o, counted from its own start, that lie inside [0, size).
__device__ __forceinline__ Range inside(const Pool2dGeometry& g, int64_t o, int64_t size) {
  const int64_t start = o * g.stride - g.padding;
  return {start < 0 ? -start : 0, start + g.kernel > size ? size - start : g.kernel};
}
// The windows that hold input position i, of `count` windows.
__device__ __forceinline__ Range windows_of(const Pool2dGeometry& g, int64_t i, int64_t count) {
  const int64_t p = i + g.padding, first = p - g.kernel + g.stride, last = p / g.stride + 1;
  return {first > 0 ? first / g.stride : 0, last < count ? last : count};
}
__device__ __forceinline__ float divisor(const Pool2dGeometry& g, Range h, Range w) {
  return static_cast<float>(g.count_include_pad ? g.kernel * g.kernel
                                                : (h.end - h.begin) * (w.end - w.begin));
}

// A pixel of an image plane, from its number among all images' pixels.
struct Pixel {
  __device__ __forceinline__ Pixel(int64_t number, int64_t height, int64_t width)
      : image(number / (height * width)), h(number / width % height), w(number % width) {}
  int64_t image, h, w;
};

// The positions of kSize maxima, a byte each, in one access.
template <int kSize>
__device__ __forceinline__ void store_bytes(uint8_t* p, const int (&v)[kSize]) {
  if constexpr (kSize == 1) {
    *p = static_cast<uint8_t>(v[0]);
  } else {
#pragma unroll
    for (int i = 0; i < kSize; i += 4)
      *reinterpret_cast<uchar4*>(p + i) =
          make_uchar4(static_cast<uint8_t>(v[i]), static_cast<uint8_t>(v[i + 1]),
                      static_cast<uint8_t>(v[i + 2]), static_cast<uint8_t>(v[i + 3]));
  }
}
template <int kSize>
__device__ __forceinline__ void load_bytes(const uint8_t* p, int (&v)[kSize]) {
  if constexpr (kSize == 1) {
    v[0] = *p;
  } else {
#pragma unroll
    for (int i = 0; i < kSize; i += 4) {
      const uchar4 raw = *reinterpret_cast<const uchar4*>(p + i);
      v[i] = raw.x;
      v[i + 1] = raw.y;
      v[i + 2] = raw.z;
      v[i + 3] = raw.w;
    }
  }
}

template <class T, bool kVector>
__global__ void __launch_bounds__(kBlock)
    max_pool2d_forward_kernel(Pool2dGeometry g, const T* x, T* y, uint8_t* index) {
  using Tile = ChannelTile<T, kVector>;
  const int64_t c = Tile::channel();
  if (c >= g.channels) return;
  const int64_t outputs = g.images * g.out_height * g.out_width;
  for (int64_t o = Tile::first_row(); o < outputs; o += Tile::row_step()) {
    const Pixel pixel(o, g.out_height, g.out_width);
    const Range h = inside(g, pixel.h, g.height), w = inside(g, pixel.w, g.width);
    const int64_t top = pixel.image * g.height + pixel.h * g.stride - g.padding;
    const int64_t left = pixel.w * g.stride - g.padding;
    float best[Tile::kSize];
    int where[Tile::kSize];
#pragma unroll
    for (int i = 0; i < Tile::kSize; ++i) {
      best[i] = -__builtin_inff();
      where[i] = static_cast<int>(h.begin * g.kernel + w.begin);
    }
    for (int64_t p = h.begin; p < h.end; ++p)
      for (int64_t q = w.begin; q < w.end; ++q) {
        float v[Tile::kSize];
        Tile::load(x + ((top + p) * g.width + left + q) * g.channels + c, v);
#pragma unroll
        for (int i = 0; i < Tile::kSize; ++i) {
          const bool better = v[i] > best[i] || v[i] != v[i];  // a NaN wins and stays
          best[i] = better ? v[i] : best[i];
          where[i] = better ? static_cast<int>(p * g.kernel + q) : where[i];
        }
      }
    Tile::store(y + o * g.channels + c, best);
    if (index) store_bytes(index + o * g.channels + c, where);
  }
}

template <class T, bool kVector>
__global__ void __launch_bounds__(kBlock, 1)
    max_pool2d_backward_kernel(Pool2dGeometry g, const T* dy, const uint8_t* index, T* dx) {
  using Tile = ChannelTile<T, kVector>;
  const int64_t c = Tile::channel();
  if (c >= g.channels) return;
  const int64_t inputs = g.images * g.height * g.width;
  for (int64_t n = Tile::first_row(); n < inputs; n += Tile::row_step()) {
    const Pixel pixel(n, g.height, g.width);
    const Range h = windows_of(g, pixel.h, g.out_height), w = windows_of(g, pixel.w, g.out_width);
    float sum[Tile::kSize] = {};
    for (int64_t i = h.begin; i < h.end; ++i)
      for (int64_t j = w.begin; j < w.end; ++j) {
        const int position = static_cast<int>((pixel.h + g.padding - i * g.stride) * g.kernel + pixel.w +
                                              g.padding - j * g.stride);
        const int64_t o = ((pixel.image * g.out_height + i) * g.out_width + j) * g.channels + c;
        float up[Tile::kSize];
        int where[Tile::kSize];
        Tile::load(dy + o, up);
        load_bytes(index + o, where);
#pragma unroll
        for (int k = 0; k < Tile::kSize; ++k) sum[k] += where[k] == position ? up[k] : 0.0f;
      }
    Tile::store(dx + n * g.channels + c, sum);
  }
}

template <class T, bool kVector>
__global__ void __launch_bounds__(kBlock) avg_pool2d_forward_kernel(Pool2dGeometry g, const T* x, T* y) {
  using Tile = ChannelTile<T, kVector>;
  const int64_t c = Tile::channel();
  if (c >= g.channels) return;
  const int64_t outputs = g.images * g.out_height * g.out_width;
  for (int64_t o = Tile::first_row(); o < outputs; o += Tile::row_step()) {
    const Pixel pixel(o, g.out_height, g.out_width);
    const Range h = inside(g, pixel.h, g.height), w = inside(g, pixel.w, g.width);
    const int64_t top = pixel.image * g.height + pixel.h * g.stride - g.padding;
    const int64_t left = pixel.w * g.stride - g.padding;
    float sum[Tile::kSize] = {};
    for (int64_t p = h.begin; p < h.end; ++p)
#pragma unroll 1  // windows are small; unrolled, it takes more registers than a block has on sm_100
      for (int64_t q = w.begin; q < w.end; ++q) {
        float v[Tile::kSize];
        Tile::load(x + ((top + p) * g.width + left + q) * g.channels + c, v);
#pragma unroll
        for (int i = 0; i < Tile::kSize; ++i) sum[i] += v[i];
      }
    const float d = divisor(g, h, w);
#pragma unroll
    for (int i = 0; i < Tile::kSize; ++i) sum[i] /= d;
    Tile::store(y + o * g.channels + c, sum);
  }
}

template <class T, bool kVector>
__global__ void __launch_bounds__(kBlock) avg_pool2d_backward_kernel(Pool2dGeometry g, const T* dy, T* dx) {
  using Tile = ChannelTile<T, kVector>;
  const int64_t c = Tile::channel();
  if (c >= g.channels) return;
  const int64_t inputs = g.images * g.height * g.width;
  for (int64_t n = Tile::first_row(); n < inputs; n += Tile::row_step()) {
    const Pixel pixel(n, g.height, g.width);
    const Range h = windows_of(g, pixel.h, g.out_height), w = windows_of(g, pixel.w, g.out_width);
    float sum[Tile::kSize] = {};
    for (int64_t i = h.begin; i < h.end; ++i)
      for (int64_t j = w.begin; j < w.end; ++j) {
        const float d = divisor(g, inside(g, i, g.height), inside(g, j, g.width));
        float up[Tile::kSize];
        Tile::load(dy + ((pixel.image * g.out_height + i) * g.out_width + j) * g.channels + c, up);
#pragma unroll
        for (int k = 0; k < Tile::kSize; ++k) sum[k] += up[k] / d;
      }
    Tile::store(dx + n * g.channels + c, sum);
  }
}

// A block for one image's line of channels: each thread adds every kRows-th pixel, then the block's rows are
// added in order.
template <class T, bool kVector>
__global__ void __launch_bounds__(kBlock)
    global_avg_pool2d_forward_kernel(int64_t images, int64_t pixels, int64_t channels, const T* x, T* y) {
  using Tile = ChannelTile<T, kVector>;
  __shared__ float sums[Tile::kRows][Tile::kChannels];
  const int64_t c = Tile::channel();
  const int column = static_cast<int>(threadIdx.x);
  const int64_t channel = static_cast<int64_t>(blockIdx.x) * Tile::kChannels + column;
  for (int64_t image = blockIdx.y; image < images; image += gridDim.y) {
    float sum[Tile::kSize] = {};
    if (c < channels) {
      for (int64_t p = Tile::row(); p < pixels; p += Tile::kRows) {
        float v[Tile::kSize];
        Tile::load(x + (image * pixels + p) * channels + c, v);
#pragma unroll
        for (int i = 0; i < Tile::kSize; ++i) sum[i] += v[i];
      }
    }
    __syncthreads();  // the sums of the image before have been read
#pragma unroll
    for (int i = 0; i < Tile::kSize; ++i) sums[Tile::row()][Tile::lane() * Tile::kSize + i] = sum[i];
    __syncthreads();
    if (column < Tile::kChannels && channel < channels) {
      double total = 0;
      for (int row = 0; row < Tile::kRows; ++row) total += static_cast<double>(sums[row][column]);
      store_float(y + image * channels + channel, static_cast<float>(total / static_cast<double>(pixels)));
    }
  }
}

template <class T, bool kVector>
__global__ void __launch_bounds__(kBlock)
    global_avg_pool2d_backward_kernel(int64_t images, int64_t pixels, int64_t channels, const T* dy, T* dx) {
  using Tile = ChannelTile<T, kVector>;
  const int64_t c = Tile::channel();
  if (c >= channels) return;
  for (int64_t n = Tile::first_row(); n < images * pixels; n += Tile::row_step()) {
    float v[Tile::kSize];
    Tile::load(dy + n / pixels * channels + c, v);
#pragma unroll
    for (int i = 0; i < Tile::kSize; ++i) v[i] /= static_cast<float>(pixels);
    Tile::store(dx + n * channels + c, v);
  }
}

bool aligned(const Tensor& a, const Tensor& b, const void* index = nullptr) {
  return common_alignment({a.raw_data(), b.raw_data(), index}) == kFullAlignment;
}

}  // namespace

void max_pool2d_forward(const Pool2dGeometry& g, const Tensor& x, const Tensor& y, const Tensor& index) {
  uint8_t* where = index.defined() ? output<uint8_t>(index) : nullptr;
  with_channel_tile("max_pool2d", x.dtype(), g.channels, aligned(x, y, where), [&]<class T, bool kVector>() {
    launch("max_pool2d_forward", max_pool2d_forward_kernel<T, kVector>,
           ChannelTile<T, kVector>::grid(g.images * g.out_height * g.out_width, g.channels), dim3(kBlock), 0,
           stream_of(x), g, input<T>(x), output<T>(y), where);
  });
}

void max_pool2d_backward(const Pool2dGeometry& g, const Tensor& dy, const Tensor& index, const Tensor& dx) {
  const auto* where = input<uint8_t>(index);
  with_channel_tile("max_pool2d", dy.dtype(), g.channels, aligned(dy, dx, where),
                    [&]<class T, bool kVector>() {
                      launch("max_pool2d_backward", max_pool2d_backward_kernel<T, kVector>,
                             ChannelTile<T, kVector>::grid(g.images * g.height * g.width, g.channels),
                             dim3(kBlock), 0, stream_of(dy), g, input<T>(dy), where, output<T>(dx));
                    });
}

void avg_pool2d_forward(const Pool2dGeometry& g, const Tensor& x, const Tensor& y) {
  with_channel_tile("avg_pool2d", x.dtype(), g.channels, aligned(x, y), [&]<class T, bool kVector>() {
    launch("avg_pool2d_forward", avg_pool2d_forward_kernel<T, kVector>,
           ChannelTile<T, kVector>::grid(g.images * g.out_height * g.out_width, g.channels), dim3(kBlock), 0,
           stream_of(x), g, input<T>(x), output<T>(y));
  });
}

void avg_pool2d_backward(const Pool2dGeometry& g, const Tensor& dy, const Tensor& dx) {
  with_channel_tile("avg_pool2d", dy.dtype(), g.channels, aligned(dy, dx), [&]<class T, bool kVector>() {
    launch("avg_pool2d_backward", avg_pool2d_backward_kernel<T, kVector>,
           ChannelTile<T, kVector>::grid(g.images * g.height * g.width, g.channels), dim3(kBlock), 0,
           stream_of(dy), g, input<T>(dy), output<T>(dx));
  });
}

void global_avg_pool2d_forward(const Tensor& x, const Tensor& y) {
  const int64_t images = x.size(0), pixels = x.size(1) * x.size(2), channels = x.size(3);
  with_channel_tile("global_avg_pool2d", x.dtype(), channels, aligned(x, y), [&]<class T, bool kVector>() {
    using Tile = ChannelTile<T, kVector>;
    launch("global_avg_pool2d_forward", global_avg_pool2d_forward_kernel<T, kVector>,
           Tile::grid(images * Tile::kRows, channels), dim3(kBlock), 0, stream_of(x), images, pixels,
           channels, input<T>(x), output<T>(y));
  });
}

void global_avg_pool2d_backward(const Tensor& dy, const Tensor& dx) {
  const int64_t images = dx.size(0), pixels = dx.size(1) * dx.size(2), channels = dx.size(3);
  with_channel_tile("global_avg_pool2d", dy.dtype(), channels, aligned(dy, dx), [&]<class T, bool kVector>() {
    launch("global_avg_pool2d_backward", global_avg_pool2d_backward_kernel<T, kVector>,
           ChannelTile<T, kVector>::grid(images * pixels, channels), dim3(kBlock), 0, stream_of(dy), images,
           pixels, channels, input<T>(dy), output<T>(dx));
  });
}

}  // namespace tern::cu
