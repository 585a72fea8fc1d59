#pragma once
// Tensors of every kind to write and read back.

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "tern/nn/safetensors.h"
#include "tests/support/tensors.h"

namespace tern::nn {

// A file of this header, 8 bytes of length in front; length -1: the header's.
inline std::string with_length(const std::string& json, const std::string& data = "", int64_t length = -1) {
  const uint64_t n = length < 0 ? json.size() : static_cast<uint64_t>(length);
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(n >> (8 * i));
  return bytes + json + data;
}

inline TensorMap sample() {
  TensorMap tensors;
  tensors["conv1.weight"] = test::random_tensor({3, 2, 2, 2}, DType::F32, 1);
  tensors["bn.num_batches_tracked"] = Tensor::from_data(std::vector<int64_t>{7}, Shape{});
  tensors["labels"] = Tensor::from_data(std::vector<uint8_t>{1, 2, 3}, {3});
  tensors["double"] = test::random_tensor({2, 2}, DType::F64, 2);
  tensors["empty"] = Tensor::empty({0, 5});
  tensors["ganz-klein-\xc3\xa4"] = test::random_tensor({1}, DType::F32, 3);
  return tensors;
}

inline void expect_same(const TensorMap& a, const TensorMap& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) {
    ASSERT_TRUE(b.contains(name)) << name;
    EXPECT_EQ(tensor.shape(), b.at(name).shape());
    ASSERT_EQ(tensor.dtype(), b.at(name).dtype());
    EXPECT_EQ(std::memcmp(tensor.raw_data(), b.at(name).raw_data(), static_cast<size_t>(tensor.bytes())), 0)
        << name;
  }
}

}  // namespace tern::nn
