#pragma once
// Making and comparing tensors in tests.

#include <gtest/gtest.h>

#include <functional>
#include <string_view>
#include <vector>

#include "tern/core/tensor.h"
#include "tern/cpu/isa.h"

namespace tern::test {

// Normal values / integers in [low, high], a pure function of the seed.
Tensor random_tensor(const Shape& shape, DType dtype = DType::F32, uint64_t seed = 1);
Tensor random_ints(const Shape& shape, DType dtype, uint64_t seed, int low, int high);

// A NaN-filled tensor: what a kernel does not write shows.
Tensor nan_tensor(const Shape& shape, DType dtype = DType::F32);

// max|a - b| <= tolerance * max|b|, NaN equal to NaN nowhere; shapes must match, element types may differ.
testing::AssertionResult close(const Tensor& a, const Tensor& b, double tolerance);
testing::AssertionResult equal_bits(const Tensor& a, const Tensor& b);
inline void expect_close(const Tensor& a, const Tensor& b, double tolerance) {
  EXPECT_TRUE(close(a, b, tolerance));
}
inline void expect_equal_bits(const Tensor& a, const Tensor& b) { EXPECT_TRUE(equal_bits(a, b)); }

// Runs body once per instruction set this processor offers (without the reference), then restores the active
// one.
void for_each_isa(const std::function<void(cpu::Isa)>& body);
// Runs body with 1, 2, 3 and 4 threads, then restores the number.
void for_each_thread_count(const std::function<void(int)>& body);

// Expects body to throw E with every given word in its text.
template <class E>
void expect_error(const std::function<void()>& body, std::initializer_list<std::string_view> words) {
  try {
    body();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const E& error) {
    for (const auto word : words)
      EXPECT_NE(std::string_view(error.what()).find(word), std::string_view::npos)
          << "'" << word << "' is not in: " << error.what();
  }
}

// A buffer of n elements between guard bytes, filled with NaN: ok() tells whether the guards survived.
template <class T>
class Fenced {
 public:
  explicit Fenced(int64_t n) : n_(n), bytes_(static_cast<size_t>(n) * sizeof(T) + 2 * kGuard, 0xA5) {
    for (int64_t i = 0; i < n; ++i) data()[i] = std::numeric_limits<T>::quiet_NaN();
  }
  T* data() { return reinterpret_cast<T*>(bytes_.data() + kGuard); }
  bool ok() const {
    for (size_t i = 0; i < kGuard; ++i)
      if (bytes_[i] != 0xA5 || bytes_[bytes_.size() - 1 - i] != 0xA5) return false;
    return true;
  }

 private:
  static constexpr size_t kGuard = 64;
  int64_t n_;
  std::vector<unsigned char> bytes_;
};

}  // namespace tern::test
