// Photos to a normalised batch (ops/augment.h): a thread has four neighbouring output pixels, or one where a
// row does not divide by four, and the integers and roundings of the CPU. A table on a device is not checked:
// sample points are clamped into the photo whatever it says.

#include "tern/ops/augment.h"

#include "tern/cuda/vector_access.cuh"
#include "tern/ops/augment_formula.h"

namespace tern::cu {
namespace {

namespace f = augment_formula;

// What kernels need of an AugmentGeometry.
struct Photos {
  int64_t count, bytes;  // bytes: of a photo
  int32_t height, width, size;
  float mean[3], std[3];
};
Photos photos_of(const AugmentGeometry& g) {
  return {g.photos,
          g.height * g.width * g.channels,
          static_cast<int32_t>(g.height),
          static_cast<int32_t>(g.width),
          static_cast<int32_t>(g.size),
          {g.mean[0], g.mean[1], g.mean[2]},
          {g.std[0], g.std[1], g.std[2]}};
}

// The kC elements of output pixel (oy, ox).
template <int kC>
__device__ __forceinline__ void augment_pixel(const Photos& g, const uint8_t* photo,
                                              const int32_t (&row)[kAugmentColumns], int32_t oy, int32_t ox,
                                              float (&out)[kC]) {
  const f::Sample x = f::locate(row[kAugmentM00] * ox + row[kAugmentM01] * oy + row[kAugmentTx], g.width);
  const f::Sample y = f::locate(row[kAugmentM10] * ox + row[kAugmentM11] * oy + row[kAugmentTy], g.height);
  const uint8_t *above = photo + y.first * g.width * kC, *below = photo + y.second * g.width * kC;
  int32_t level[kC];
#pragma unroll
  for (int c = 0; c < kC; ++c)
    level[c] = f::bilinear(above[x.first * kC + c], above[x.second * kC + c], below[x.first * kC + c],
                           below[x.second * kC + c], x.weight, y.weight);
  int32_t grey = 0;
  if constexpr (kC == 3) grey = f::luma(level[0], level[1], level[2]);
  const bool erased = ox >= row[kAugmentEraseX0] && ox < row[kAugmentEraseX1] && oy >= row[kAugmentEraseY0] &&
                      oy < row[kAugmentEraseY1];
#pragma unroll
  for (int c = 0; c < kC; ++c) {
    if constexpr (kC == 3) level[c] = f::saturate(level[c], grey, row[kAugmentSaturation]);
    int32_t result = f::adjust(level[c], row[kAugmentGain], row[kAugmentBias]);
    if (erased) result = (row[kAugmentColour] >> (8 * (kC - 1 - c)) & 255) << f::kResultBits;
    const float value = static_cast<float>(result) * f::kResultScale;
    out[c] = (value / 255.0f - g.mean[c]) / g.std[c];
  }
}

// kPixels * kC elements to a place that is aligned to as many bytes, at most 16.
template <int kN>
__device__ __forceinline__ void store_pixels(float* y, const float (&v)[kN]) {
  if constexpr (kN % 4 == 0) {
#pragma unroll
    for (int i = 0; i < kN; i += 4) store_vector(y + i, {v[i], v[i + 1], v[i + 2], v[i + 3]});
  } else {
#pragma unroll
    for (int i = 0; i < kN; ++i) y[i] = v[i];
  }
}
template <int kN>
__device__ __forceinline__ void store_pixels(bfloat16* y, const float (&v)[kN]) {
  if constexpr (kN % 4 == 0) {
#pragma unroll
    for (int i = 0; i < kN; i += 4)
      *reinterpret_cast<uint2*>(y + i) = make_uint2(bf16_pair(v[i], v[i + 1]), bf16_pair(v[i + 2], v[i + 3]));
  } else {
#pragma unroll
    for (int i = 0; i < kN; ++i) store_float(y + i, v[i]);
  }
}

template <int kC, int kPixels, class T>
__global__ void __launch_bounds__(kBlock)
    augment_kernel(Photos g, const uint8_t* photos, const int32_t* table, T* y) {
  const int64_t runs = g.count * g.size * g.size / kPixels,
                step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < runs; i += step) {
    const int64_t pixel = i * kPixels, line = pixel / g.size, n = line / g.size;
    int32_t row[kAugmentColumns];
#pragma unroll
    for (int k = 0; k < kAugmentColumns; ++k) row[k] = table[n * kAugmentColumns + k];
    const auto oy = static_cast<int32_t>(line - n * g.size), ox = static_cast<int32_t>(pixel - line * g.size);
    float out[kPixels * kC];
#pragma unroll
    for (int p = 0; p < kPixels; ++p) {
      float values[kC];
      augment_pixel<kC>(g, photos + n * g.bytes, row, oy, ox + p, values);
#pragma unroll
      for (int c = 0; c < kC; ++c) out[p * kC + c] = values[c];
    }
    store_pixels(y + pixel * kC, out);
  }
}

template <int kC, class T>
void run(const AugmentGeometry& g, const Tensor& photos, const Tensor& table, const Tensor& y) {
  constexpr int kPixels = 4;
  const bool together = g.size % kPixels == 0 && aligned_to_vector(input<T>(y));
  const auto kernel = together ? augment_kernel<kC, kPixels, T> : augment_kernel<kC, 1, T>;
  launch("augment", kernel, blocks_for(g.photos * g.size * g.size, together ? kPixels : 1), dim3(kBlock), 0,
         stream_of(y), photos_of(g), input<uint8_t>(photos), input<int32_t>(table), output<T>(y));
}

}  // namespace

void augment(const AugmentGeometry& g, const Tensor& photos, const Tensor& table, const Tensor& y) {
  on_activation("augment", y.dtype(), [&]<class T>(T) {
    if (g.channels == 3) run<3, T>(g, photos, table, y);
    else run<1, T>(g, photos, table, y);
  });
}

}  // namespace tern::cu
