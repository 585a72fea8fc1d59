#pragma once
// Making tensors. Random ones are addressed draws (core/philox.h): the same (seed, stream, step) gives the
// same tensor, whatever was drawn before.

#include <initializer_list>

#include "tern/core/philox.h"
#include "tern/core/tensor.h"

namespace tern {

Tensor zeros(const Shape& shape, TensorOptions options = {});
Tensor ones(const Shape& shape, TensorOptions options = {});
Tensor full(const Shape& shape, double value, TensorOptions options = {});
Tensor scalar(double value, TensorOptions options = {});  // rank 0
Tensor zeros_like(const Tensor& x);
// begin, begin + step, ... below end (above it for a negative step); i64 unless asked otherwise.
Tensor arange(double begin, double end, double step = 1, TensorOptions options = {.dtype = DType::I64});
Tensor eye(int64_t n, TensorOptions options = {});  // [n,n]

// tensor({1, 2, 3}) is f32 [3]; tensor({{1, 2}, {3, 4}}) is f32 [2,2]. Throws ShapeError on ragged rows.
Tensor tensor(std::initializer_list<double> values, TensorOptions options = {});
Tensor tensor(std::initializer_list<std::initializer_list<double>> rows, TensorOptions options = {});

struct RandomOptions {
  uint64_t seed = 0;
  RandomStream stream = RandomStream::Test;
  uint64_t step = 0;
  DType dtype = DType::F32;
};
Tensor rand(const Shape& shape, RandomOptions options = {});   // uniform on [0, 1)
Tensor randn(const Shape& shape, RandomOptions options = {});  // normal, mean 0, deviation 1
// A permutation of 0 .. n-1, i64 (Fisher-Yates).
Tensor randperm(int64_t n, RandomOptions options = {});

}  // namespace tern
