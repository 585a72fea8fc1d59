#include "tern/core/shape.h"

#include <algorithm>

#include "tern/core/error.h"

namespace tern {

namespace checked {

int64_t mul(int64_t a, int64_t b) {
  int64_t product;
  check<ShapeError>(!__builtin_mul_overflow(a, b, &product), "size overflow: ", a, " * ", b);
  return product;
}

int64_t add(int64_t a, int64_t b) {
  int64_t sum;
  check<ShapeError>(!__builtin_add_overflow(a, b, &sum), "size overflow: ", a, " + ", b);
  return sum;
}

}  // namespace checked

Shape::Shape(std::initializer_list<int64_t> dims) { set({dims.begin(), dims.size()}); }
Shape::Shape(std::span<const int64_t> dims) { set(dims); }

void Shape::set(std::span<const int64_t> dims) {
  check<ShapeError>(dims.size() <= kMaxRank, "shape: rank ", dims.size(), " is above the limit of ",
                    kMaxRank);
  rank_ = static_cast<int>(dims.size());
  std::copy(dims.begin(), dims.end(), dims_.begin());
  // The product over the non-zero dimensions is bounded, so that a zero cannot hide an overflow.
  int64_t nonzero = 1;
  bool empty = false;
  for (const int64_t dim : dims) {
    check<ShapeError>(dim >= 0, "shape: negative size ", dim);
    if (dim == 0) empty = true;
    else nonzero = checked::mul(nonzero, dim);
    check<ShapeError>(nonzero <= kMaxBytes / 8, "shape: more than ", kMaxBytes / 8, " elements");
  }
  numel_ = empty ? 0 : nonzero;
}

int64_t Shape::operator[](int dim) const {
  const int index = dim < 0 ? dim + rank_ : dim;
  check<ShapeError>(index >= 0 && index < rank_, "shape: dimension ", dim, " of ", *this, " does not exist");
  return dims_[static_cast<size_t>(index)];
}

Shape Shape::with(int dim, int64_t size) const {
  (*this)[dim];
  auto dims = dims_;
  dims[static_cast<size_t>(dim < 0 ? dim + rank_ : dim)] = size;
  return Shape(std::span<const int64_t>(dims.data(), static_cast<size_t>(rank_)));
}

bool operator==(const Shape& a, const Shape& b) {
  return a.rank_ == b.rank_ && std::equal(a.begin(), a.end(), b.begin());
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (const int64_t dim : shape) {
    if (text.size() > 1) text += ',';
    text += std::to_string(dim);
  }
  return text + "]";
}

Shape broadcast_shapes(const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  std::array<int64_t, Shape::kMaxRank> dims{};
  for (int i = 1; i <= rank; ++i) {
    const int64_t x = i <= a.rank() ? a[-i] : 1;
    const int64_t y = i <= b.rank() ? b[-i] : 1;
    check<ShapeError>(x == y || x == 1 || y == 1, "broadcast: shapes ", a, " and ", b,
                      " do not fit; hint: trailing dimensions must be equal or 1");
    dims[static_cast<size_t>(rank - i)] = x == 1 ? y : x;
  }
  return Shape(std::span<const int64_t>(dims.data(), static_cast<size_t>(rank)));
}

}  // namespace tern
