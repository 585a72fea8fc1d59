#pragma once
// Sizes are checked once, here: a Shape that exists has non-negative dimensions whose product, and whose
// bytes in the widest dtype, fit; kernels take its int64_t sizes and trust them.

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace tern {

namespace checked {
// Overflow-checked int64 arithmetic; throws ShapeError naming the operands.
int64_t mul(int64_t a, int64_t b);
int64_t add(int64_t a, int64_t b);
}  // namespace checked

class Shape {
 public:
  static constexpr int kMaxRank = 8;
  static constexpr int64_t kMaxBytes = int64_t{1} << 40;  // of one tensor

  Shape() = default;  // rank 0: one element
  Shape(std::initializer_list<int64_t> dims);
  explicit Shape(std::span<const int64_t> dims);

  int rank() const { return rank_; }
  int64_t numel() const { return numel_; }
  // Size of one dimension; negative counts from the back: shape[-1] is the last. Throws ShapeError out of
  // range.
  int64_t operator[](int dim) const;
  std::span<const int64_t> dims() const { return {dims_.data(), static_cast<size_t>(rank_)}; }
  const int64_t* begin() const { return dims_.data(); }
  const int64_t* end() const { return dims_.data() + rank_; }

  Shape with(int dim, int64_t size) const;  // a copy with one dimension replaced
  friend bool operator==(const Shape& a, const Shape& b);

 private:
  void set(std::span<const int64_t> dims);
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
  int64_t numel_ = 1;
};

std::string to_string(const Shape& shape);  // "[64,112,112,3]"

// The common shape under NumPy's broadcasting rule (trailing dimensions aligned, 1 stretches). Throws
// ShapeError.
Shape broadcast_shapes(const Shape& a, const Shape& b);

}  // namespace tern
