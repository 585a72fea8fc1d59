#include "tern/ops/shape_ops.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "tern/core/parallel.h"
#include "tern/cpu/bf16.h"

namespace tern::cpu {
namespace {

constexpr int64_t kCopyBytes = 1 << 18;  // below this a second thread costs more than it brings

template <class T>
void permute_loop(std::span<const int> axes, const Shape& shape, const T* x, const Shape& y_shape, T* y) {
  const int rank = shape.rank();
  std::array<int64_t, Shape::kMaxRank> stride{}, step{};
  int64_t run = 1;
  for (int i = rank - 1; i >= 0; --i) {
    stride[static_cast<size_t>(i)] = run;
    run *= shape[i];
  }
  for (int i = 0; i < rank; ++i) {
    const int axis =
        axes[static_cast<size_t>(i)] < 0 ? axes[static_cast<size_t>(i)] + rank : axes[static_cast<size_t>(i)];
    step[static_cast<size_t>(i)] = stride[static_cast<size_t>(axis)];
  }
  if (rank == 0) {
    y[0] = x[0];
    return;
  }
  const int64_t inner = y_shape[-1], inner_step = step[static_cast<size_t>(rank - 1)];
  if (inner == 0) return;
  parallel_for(y_shape.numel() / inner, std::max<int64_t>(1, 4096 / inner), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      int64_t rest = row, from = 0;
      for (int i = rank - 2; i >= 0; --i) {
        from += rest % y_shape[i] * step[static_cast<size_t>(i)];
        rest /= y_shape[i];
      }
      for (int64_t k = 0; k < inner; ++k) y[row * inner + k] = x[from + k * inner_step];
    }
  });
}

}  // namespace

void copy_blocks(const BlockCopy& c, const Tensor& src, const Tensor& dst) {
  const auto* from = static_cast<const char*>(src.raw_data()) + c.from * c.row_bytes;
  auto* to = static_cast<char*>(dst.raw_data()) + c.to * c.row_bytes;
  const int64_t bytes = c.count * c.row_bytes;
  if (bytes == 0) return;
  parallel_for(c.outer, std::max<int64_t>(1, kCopyBytes / bytes), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o)
      std::memcpy(to + o * c.dst_rows * c.row_bytes, from + o * c.src_rows * c.row_bytes,
                  static_cast<size_t>(bytes));
  });
}

void permute(std::span<const int> axes, const Tensor& x, const Tensor& y) {
  // Only the size of an element matters.
  switch (size_of(x.dtype())) {
    case 8:
      return permute_loop(axes, x.shape(), static_cast<const uint64_t*>(x.raw_data()), y.shape(),
                          static_cast<uint64_t*>(y.raw_data()));
    case 4:
      return permute_loop(axes, x.shape(), static_cast<const uint32_t*>(x.raw_data()), y.shape(),
                          static_cast<uint32_t*>(y.raw_data()));
    case 2:
      return permute_loop(axes, x.shape(), static_cast<const uint16_t*>(x.raw_data()), y.shape(),
                          static_cast<uint16_t*>(y.raw_data()));
    default:
      return permute_loop(axes, x.shape(), static_cast<const uint8_t*>(x.raw_data()), y.shape(),
                          static_cast<uint8_t*>(y.raw_data()));
  }
}

void gather_rows(const Tensor& x, const Tensor& index, const Tensor& y) {
  const int64_t rows = index.numel(), bytes = rows > 0 ? y.bytes() / rows : 0;
  const int64_t* at = index.data<int64_t>();
  const auto* from = static_cast<const char*>(x.raw_data());
  auto* to = static_cast<char*>(y.raw_data());
  if (bytes == 0) return;
  parallel_for(rows, std::max<int64_t>(1, kCopyBytes / bytes), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      std::memcpy(to + i * bytes, from + at[i] * bytes, static_cast<size_t>(bytes));
  });
}

void scatter_add_rows(const Tensor& dy, const Tensor& index, const Tensor& dx) {
  if (dy.dtype() == DType::BF16) {
    const Tensor sum = widened(dx);
    scatter_add_rows(widened(dy), index, sum);
    return cast(sum, dx);
  }
  const int64_t rows = index.numel(), width = rows > 0 ? dy.numel() / rows : 0;
  const int64_t* at = index.data<int64_t>();
  const auto run = [&](const auto* from, auto* to) {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t k = 0; k < width; ++k) to[at[i] * width + k] += from[i * width + k];
  };
  if (dy.dtype() == DType::F64) run(dy.data<double>(), dx.mutable_data<double>());
  else run(dy.data<float>(), dx.mutable_data<float>());
}

}  // namespace tern::cpu
