#pragma once
// How much arithmetic a piece of code asks for: the multiply-adds of its convolutions and matrix products.
//
//   MultiplyAdds counted;
//   model(x);
//   counted.total();
//
// Counted as the field does it: N Ho Wo O kH kW C/G for a convolution (taps on the padding included), m n k
// for a matrix product; pointwise work, pooling and normalisation count nothing. Winograd's savings are not
// subtracted: the number says what is asked for, not how it is done.

#include <cstdint>

namespace tern {

// Counts what this thread asks for while it lives. May be nested: the outer one counts everything.
class MultiplyAdds {
 public:
  MultiplyAdds();
  ~MultiplyAdds();
  MultiplyAdds(const MultiplyAdds&) = delete;
  MultiplyAdds& operator=(const MultiplyAdds&) = delete;
  int64_t total() const;

 private:
  int64_t start_;
};

// Called by the forward passes of the operations.
void count_multiply_adds(int64_t n);

}  // namespace tern
