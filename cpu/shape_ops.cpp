#include "tern/ops/shape_ops.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "tern/core/parallel.h"
#include "tern/cpu/bf16.h"

namespace tern::cpu {
namespace {

constexpr int64_t kCopyBytes = 1 << 18;  // below this a second thread costs more than it brings

// The axes of y, outermost first, and how far apart their elements lie in x. Axes that stay neighbours count
// as one: [N,H,W,C] to [N,C,H,W] is [N,HW,C] to [N,C,HW].
struct PermutedAxes {
  PermutedAxes(std::span<const int> axes, const Shape& x) {
    std::array<int64_t, Shape::kMaxRank> stride{};
    int64_t run = 1;
    for (int i = x.rank() - 1; i >= 0; --i) {
      stride[static_cast<size_t>(i)] = run;
      run *= x[i];
    }
    int last = -2;
    for (const int named : axes) {
      const int axis = named < 0 ? named + x.rank() : named;
      if (axis != last + 1) size[static_cast<size_t>(rank++)] = 1;
      size[static_cast<size_t>(rank - 1)] *= x[axis];
      step[static_cast<size_t>(rank - 1)] = stride[static_cast<size_t>(axis)];
      last = axis;
    }
  }
  int rank = 0;
  std::array<int64_t, Shape::kMaxRank> size{}, step{};
};

template <class T>
void permute_loop(std::span<const int> axes, const Shape& shape, const T* x, T* y) {
  if (shape.numel() == 0) return;
  const PermutedAxes p(axes, shape);
  const size_t last = p.rank == 0 ? 0 : static_cast<size_t>(p.rank - 1);
  const int64_t inner = p.rank == 0 ? 1 : p.size[last], inner_step = p.step[last];
  parallel_for(shape.numel() / inner, std::max<int64_t>(1, 4096 / inner), [&](int64_t begin, int64_t end) {
    std::array<int64_t, Shape::kMaxRank> at{};
    int64_t rest = begin, from = 0;
    for (size_t i = last; i-- > 0; rest /= p.size[i]) {
      at[i] = rest % p.size[i];
      from += at[i] * p.step[i];
    }
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t k = 0; k < inner; ++k) y[row * inner + k] = x[from + k * inner_step];
      for (size_t i = last; i-- > 0;) {  // counting on is cheaper than dividing for each row
        from += p.step[i];
        if (++at[i] < p.size[i]) break;
        from -= p.size[i] * p.step[i];
        at[i] = 0;
      }
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
      return permute_loop(axes, x.shape(), static_cast<const uint64_t*>(x.raw_data()),
                          static_cast<uint64_t*>(y.raw_data()));
    case 4:
      return permute_loop(axes, x.shape(), static_cast<const uint32_t*>(x.raw_data()),
                          static_cast<uint32_t*>(y.raw_data()));
    case 2:
      return permute_loop(axes, x.shape(), static_cast<const uint16_t*>(x.raw_data()),
                          static_cast<uint16_t*>(y.raw_data()));
    default:
      return permute_loop(axes, x.shape(), static_cast<const uint8_t*>(x.raw_data()),
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
