// Copies that rearrange (ops/shape_ops.h). Bytes are moved in the largest word that sizes and addresses
// allow.

#include "tern/ops/shape_ops.h"

#include "tern/cuda/broadcast.cuh"
#include "tern/cuda/bytes.cuh"
#include "tern/cuda/vector_access.cuh"

namespace tern::cu {
namespace {

// In words: block o of `count` words goes from src + o * src_step to dst + o * dst_step.
template <class T>
__global__ void copy_blocks_kernel(const T* src, T* dst, int64_t src_step, int64_t dst_step, int64_t count,
                                   int64_t n) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = first; i < n; i += step) {
    const int64_t o = divide(i, count), k = i - o * count;
    dst[o * dst_step + k] = src[o * src_step + k];
  }
}

struct PermuteStrides {
  int rank;
  int64_t size[Shape::kMaxRank], x[Shape::kMaxRank];  // of y's axes
};

template <class T>
__global__ void permute_kernel(PermuteStrides strides, const T* x, T* y, int64_t n) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = first; i < n; i += step) {
    int64_t rest = i, from = 0;
#pragma unroll
    for (int d = Shape::kMaxRank - 1; d >= 0; --d) {
      if (d >= strides.rank) continue;
      const int64_t outer = d == 0 ? 0 : divide(rest, strides.size[d]);
      from += (rest - outer * strides.size[d]) * strides.x[d];
      rest = outer;
    }
    y[i] = x[from];
  }
}

template <class T>
__device__ __forceinline__ T all_bits() {
  if constexpr (sizeof(T) == 16) return make_uint4(~0u, ~0u, ~0u, ~0u);
  else return static_cast<T>(~T{});
}

// A row that is not there gives bits of ones: NaN where elements are floating.
template <class T>
__global__ void gather_rows_kernel(const T* x, const int64_t* index, T* y, int64_t rows, int64_t width,
                                   int64_t n) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = first; i < n; i += step) {
    const int64_t row = divide(i, width), from = index[row];
    y[i] = from >= 0 && from < rows ? x[from * width + i - row * width] : all_bits<T>();
  }
}

// One thread owns an element of dx and reads the whole index in order: no two threads write one element, and
// a sum runs over ascending rows of dy, as on the CPU. Work grows with rows of dx times rows of dy, which in
// training are a batch each; the index stays in the cache.
template <class T>
__global__ void scatter_add_rows_kernel(const T* dy, const int64_t* index, T* dx, int64_t rows, int64_t width,
                                        int64_t n) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = first; i < n; i += step) {
    const int64_t row = divide(i, width), k = i - row * width;
    float sum = load_float(dx + i);
    for (int64_t r = 0; r < rows; ++r)
      if (index[r] == row) sum += load_float(dy + r * width + k);
    store_float(dx + i, sum);
  }
}

}  // namespace

void copy_blocks(const BlockCopy& c, const Tensor& src, const Tensor& dst) {
  const char* from = input<char>(src) + c.from * c.row_bytes;
  char* to = output<char>(dst) + c.to * c.row_bytes;
  const int64_t bytes = c.count * c.row_bytes, src_step = c.src_rows * c.row_bytes,
                dst_step = c.dst_rows * c.row_bytes;
  const int64_t word = common_word({address_of(from), address_of(to), bytes, src_step, dst_step});
  with_word(word, [&]<class T>(T) {
    const int64_t count = bytes / word, n = c.outer * count;
    launch("copy_blocks", copy_blocks_kernel<T>, blocks_for(n), dim3(kBlock), 0, stream_of(dst),
           reinterpret_cast<const T*>(from), reinterpret_cast<T*>(to), src_step / word, dst_step / word,
           count, n);
  });
}

void permute(std::span<const int> axes, const Tensor& x, const Tensor& y) {
  PermuteStrides strides{};
  strides.rank = x.rank();
  int64_t step[Shape::kMaxRank] = {}, run = 1;
  for (int d = x.rank() - 1; d >= 0; --d) {
    step[d] = run;
    run *= x.size(d);
  }
  for (int d = 0; d < y.rank(); ++d) {
    const int axis = axes[static_cast<size_t>(d)];
    strides.size[d] = y.size(d);
    strides.x[d] = step[axis < 0 ? axis + x.rank() : axis];
  }
  with_word(size_of(x.dtype()), [&]<class T>(T) {
    launch("permute", permute_kernel<T>, blocks_for(y.numel()), dim3(kBlock), 0, stream_of(y), strides,
           input<T>(x), output<T>(y), y.numel());
  });
}

void gather_rows(const Tensor& x, const Tensor& index, const Tensor& y) {
  const int64_t rows = index.numel(), bytes = rows > 0 ? y.bytes() / rows : 0;
  const int64_t word = common_word({address_of(x.raw_data()), address_of(y.raw_data()), bytes});
  with_word(word, [&]<class T>(T) {
    launch("gather_rows", gather_rows_kernel<T>, blocks_for(rows * (bytes / word)), dim3(kBlock), 0,
           stream_of(y), input<T>(x), input<int64_t>(index), output<T>(y), x.size(0), bytes / word,
           rows * (bytes / word));
  });
}

void scatter_add_rows(const Tensor& dy, const Tensor& index, const Tensor& dx) {
  const int64_t rows = index.numel(), width = dx.size(0) > 0 ? dx.numel() / dx.size(0) : 0;
  on_activation("gather_rows", dy.dtype(), [&]<class T>(T) {
    launch("scatter_add_rows", scatter_add_rows_kernel<T>, blocks_for(dx.numel()), dim3(kBlock), 0,
           stream_of(dx), input<T>(dy), input<int64_t>(index), output<T>(dx), rows, width, dx.numel());
  });
}

}  // namespace tern::cu
