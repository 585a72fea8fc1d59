// L2 normalisation (ops/l2_normalize.h) with the bits of the CPU. There a row's f64 sum runs in four
// interleaved partial sums, element k in sum k % 4, which are combined as (0 + 2) + (1 + 3). Here a warp has
// a row: 32 neighbouring elements are read at once, and every lane adds those of its sum in the same order,
// so that all lanes of one remainder hold the same bits. Products of two floats are exact in f64; square
// root, division and the other products round as on the CPU, and nothing is contracted (cuda/kernel.h).
// Mining inside the losses needs these bits.

#include "tern/ops/l2_normalize.h"

#include "tern/cuda/rows.cuh"
#include "tern/ops/math.h"

namespace tern::cu {
namespace {

constexpr int kSums = 4;

// sum a_k b_k, in every lane.
__device__ __forceinline__ double row_dot(const float* a, const float* b, int64_t d, int lane) {
  double partial = 0;
  for (int64_t begin = 0; begin < d; begin += kWarp) {
    const bool inside = begin + lane < d;
    const float mine_a = inside ? a[begin + lane] : 0, mine_b = inside ? b[begin + lane] : 0;
#pragma unroll
    for (int k = 0; k < kWarp / kSums; ++k) {
      const int from = k * kSums + lane % kSums;
      const auto x = static_cast<double>(__shfl_sync(kFullMask, mine_a, from));
      const auto y = static_cast<double>(__shfl_sync(kFullMask, mine_b, from));
      partial += x * y;  // beyond the end: + 0, which changes no bit of a sum that began with 0
    }
  }
  partial += __shfl_xor_sync(kFullMask, partial, 2);
  return partial + __shfl_xor_sync(kFullMask, partial, 1);
}

__global__ void __launch_bounds__(kBlock)
    l2_normalize_kernel(const float* x, double eps, float* y, double* inverse, int64_t rows, int64_t d) {
  const RowThread<kWarp> t;
  if (t.row >= rows) return;  // a whole warp
  x += t.row * d;
  const double length = math::sqrt(row_dot(x, x, d, t.lane));
  const double scale = 1.0 / (length > eps ? length : eps);
  for (int64_t k = t.lane; k < d; k += kWarp)
    y[t.row * d + k] = static_cast<float>(static_cast<double>(x[k]) * scale);
  if (t.lane == 0) inverse[t.row] = length > eps ? scale : 0.0;
}

__global__ void __launch_bounds__(kBlock)
    l2_normalize_backward_kernel(const float* dy, const float* y, const double* inverse, float* dx,
                                 int64_t rows, int64_t d) {
  const RowThread<kWarp> t;
  if (t.row >= rows) return;
  dy += t.row * d;
  y += t.row * d;
  const double scale = inverse[t.row], along = row_dot(y, dy, d, t.lane);
  for (int64_t k = t.lane; k < d; k += kWarp) {
    const double tangent = static_cast<double>(dy[k]) - static_cast<double>(y[k]) * along;
    dx[t.row * d + k] = scale == 0 ? 0.0f : static_cast<float>(tangent * scale);
  }
}

dim3 grid_of_rows(int64_t rows) {
  return dim3(static_cast<unsigned>((rows + kBlock / kWarp - 1) / (kBlock / kWarp)));
}

}  // namespace

void l2_normalize_forward(const Tensor& x, double eps, const Tensor& y, const Tensor& inverse) {
  check<DTypeError>(x.dtype() == DType::F32, "l2_normalize: dtype ", x.dtype(),
                    " is not supported on cuda, allowed are f32 and bf16; hint: compute f64 on the CPU");
  const int64_t rows = inverse.numel();
  launch("l2_normalize", l2_normalize_kernel, grid_of_rows(rows), dim3(kBlock), 0, stream_of(x),
         input<float>(x), eps, output<float>(y), output<double>(inverse), rows, x.size(-1));
}

void l2_normalize_backward(const Tensor& dy, const Tensor& y, const Tensor& inverse, const Tensor& dx) {
  const int64_t rows = inverse.numel();
  launch("l2_normalize_backward", l2_normalize_backward_kernel, grid_of_rows(rows), dim3(kBlock), 0,
         stream_of(y), input<float>(dy), input<float>(y), input<double>(inverse), output<float>(dx), rows,
         y.size(-1));
}

}  // namespace tern::cu
