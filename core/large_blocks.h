#pragma once
// Large blocks of memory out of one reserved range of addresses: best fit, split on the way out, joined with
// their free neighbours on the way back. Blocks of any sizes share the same pages, so a step needs hardly
// more than its peak; classes of sizes would keep the peak of every class. Not synchronised: the allocator's
// lock guards it.

#include <cstdint>
#include <vector>

namespace tern {

class LargeBlocks {
 public:
  static constexpr int64_t kUnit = int64_t{64} << 10;  // sizes are multiples of this
  static int64_t rounded(int64_t bytes) { return (bytes + kUnit - 1) / kUnit * kUnit; }

  // Where a block of so many bytes (a multiple of kUnit) would go, and how much of it the system has to give.
  struct Fit {
    int64_t index;  // of the free range, or that of none: the top grows
    int64_t fresh;
  };
  Fit find(int64_t bytes) const;
  // Null if the system refuses. May throw std::bad_alloc.
  void* take(Fit fit, int64_t bytes);
  void give(void* data, int64_t bytes) noexcept;  // room for its entry was made by take()

  int64_t cached() const { return cached_; }  // free bytes that the system still holds for us
  void release();                             // gives them back

 private:
  // Free addresses [begin, end); of these, at most `resident` bytes are backed by memory.
  struct Range {
    char *begin, *end;
    int64_t resident;
    int64_t size() const { return end - begin; }
  };
  void* grow(int64_t bytes);
  void* open_segment(int64_t bytes);

  std::vector<Range> free_;  // by address; neighbours that touch are one
  int64_t live_ = 0;         // blocks out
  int64_t cached_ = 0;
  char *top_ = nullptr, *segment_end_ = nullptr;  // [.., top_) is usable, the rest of the segment reserved
};

}  // namespace tern
