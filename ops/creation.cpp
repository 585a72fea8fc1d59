#include "tern/ops/creation.h"

#include <cmath>
#include <utility>

namespace tern {
namespace {

// Calls write(data) with a pointer to the element type of a fresh host tensor, then moves it to its device.
template <class Write>
Tensor filled(const Shape& shape, TensorOptions options, Write&& write) {
  Tensor y = Tensor::empty(shape, {.dtype = options.dtype});
  switch (options.dtype) {
    case DType::F32: write(y.mutable_data<float>()); break;
    case DType::F64: write(y.mutable_data<double>()); break;
    case DType::I64: write(y.mutable_data<int64_t>()); break;
    case DType::I32: write(y.mutable_data<int32_t>()); break;
    case DType::U8: write(y.mutable_data<uint8_t>()); break;
    case DType::Bool: write(y.mutable_data<bool>()); break;
    case DType::BF16: write(y.mutable_data<bfloat16>()); break;
  }
  return options.device.is_cpu() ? y : y.to(options.device);
}

template <class Value>
Tensor generated(const Shape& shape, TensorOptions options, Value&& value_at) {
  return filled(shape, options, [&](auto* data) {
    using T = std::remove_pointer_t<decltype(data)>;
    for (int64_t i = 0; i < shape.numel(); ++i) {
      if constexpr (std::is_same_v<T, bfloat16>) data[i] = bfloat16(static_cast<float>(value_at(i)));
      else data[i] = static_cast<T>(value_at(i));
    }
  });
}

}  // namespace

Tensor full(const Shape& shape, double value, TensorOptions options) {
  Tensor y = Tensor::empty(shape, options);
  y.fill(value);
  return y;
}
Tensor zeros(const Shape& shape, TensorOptions options) { return full(shape, 0, options); }
Tensor ones(const Shape& shape, TensorOptions options) { return full(shape, 1, options); }
Tensor scalar(double value, TensorOptions options) { return full(Shape{}, value, options); }
Tensor zeros_like(const Tensor& x) { return zeros(x.shape(), x.options()); }

Tensor arange(double begin, double end, double step, TensorOptions options) {
  check(std::isfinite(begin) && std::isfinite(end) && std::isfinite(step) && step != 0, "arange: from ",
        begin, " to ", end, " by ", step, " is not a range");
  const double count = std::ceil((end - begin) / step);
  const int64_t n = count > 0 ? static_cast<int64_t>(count) : 0;
  return generated(Shape{n}, options, [=](int64_t i) { return begin + static_cast<double>(i) * step; });
}

Tensor eye(int64_t n, TensorOptions options) {
  return generated(Shape{n, n}, options, [=](int64_t i) { return i % (n + 1) == 0 ? 1.0 : 0.0; });
}

Tensor tensor(std::initializer_list<double> values, TensorOptions options) {
  return generated(Shape{static_cast<int64_t>(values.size())}, options,
                   [&](int64_t i) { return values.begin()[i]; });
}

Tensor tensor(std::initializer_list<std::initializer_list<double>> rows, TensorOptions options) {
  const auto n = static_cast<int64_t>(rows.size());
  const int64_t columns = n > 0 ? static_cast<int64_t>(rows.begin()->size()) : 0;
  for (const auto& row : rows) {
    check<ShapeError>(static_cast<int64_t>(row.size()) == columns, "tensor: rows of ", columns, " and ",
                      row.size(), " values");
  }
  return generated(Shape{n, columns}, options,
                   [&](int64_t i) { return rows.begin()[i / columns].begin()[i % columns]; });
}

Tensor rand(const Shape& shape, RandomOptions options) {
  PhiloxSequence draws(options.seed, options.stream, options.step);
  return generated(shape, {.dtype = options.dtype}, [&](int64_t) { return draws.uniform(); });
}

Tensor randn(const Shape& shape, RandomOptions options) {
  PhiloxSequence draws(options.seed, options.stream, options.step);
  return generated(shape, {.dtype = options.dtype}, [&](int64_t) { return draws.normal(); });
}

Tensor randperm(int64_t n, RandomOptions options) {
  check<ShapeError>(n >= 0 && n <= int64_t{UINT32_MAX}, "randperm: ", n, " elements");
  PhiloxSequence draws(options.seed, options.stream, options.step);
  const Tensor y = arange(0, static_cast<double>(n));
  auto* data = y.mutable_data<int64_t>();
  for (int64_t i = n - 1; i > 0; --i) std::swap(data[i], data[draws.below(static_cast<uint32_t>(i + 1))]);
  return y;
}

}  // namespace tern
