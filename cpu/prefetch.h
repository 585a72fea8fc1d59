#pragma once
// Asks for the data of the next piece of work while the current one computes: a matrix of rows that will be
// read, a share of its cache lines before each call of a kernel, into the second-level cache.

#include <cstdint>

namespace tern::cpu {

class Prefetch {
 public:
  Prefetch() = default;
  // rows x columns floats, rows ld apart, in `steps` shares.
  Prefetch(const float* data, int64_t rows, int64_t columns, int64_t ld, int64_t steps) {
    if (rows <= 0 || columns <= 0 || steps <= 0) return;
    if (ld == columns) columns *= rows, rows = 1;  // one long row
    row_ = reinterpret_cast<const char*>(data);
    stride_ = ld * static_cast<int64_t>(sizeof(float));
    row_bytes_ = columns * static_cast<int64_t>(sizeof(float));
    rows_ = rows;
    share_ = ((row_bytes_ + kLine - 1) / kLine * rows + steps - 1) / steps;
  }
  void step() {
    for (int64_t i = 0; i < share_ && rows_ > 0; ++i) {
      __builtin_prefetch(row_ + at_, 0, 2);
      at_ += kLine;
      if (at_ < row_bytes_) continue;
      at_ = 0;
      row_ += stride_;
      --rows_;
    }
  }

 private:
  static constexpr int64_t kLine = 64;
  const char* row_ = nullptr;
  int64_t stride_ = 0, row_bytes_ = 0, rows_ = 0, share_ = 0, at_ = 0;
};

}  // namespace tern::cpu
