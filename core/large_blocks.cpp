#include "tern/core/large_blocks.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>

namespace tern {
namespace {

// Addresses cost nothing, unless the process has a limit on them.
int64_t segment_bytes(int64_t request) {
  constexpr int64_t kSegment = int64_t{256} << 30;
  rlimit limit{};
  const bool limited = getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  return limited ? request : std::max(request, kSegment);
}

void* reserve(int64_t bytes) {
  void* data = mmap(nullptr, static_cast<size_t>(bytes), PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return data == MAP_FAILED ? nullptr : data;
}

}  // namespace

LargeBlocks::Fit LargeBlocks::find(int64_t bytes) const {
  const auto none = static_cast<int64_t>(free_.size());
  int64_t best = none;
  for (int64_t i = 0; i < none; ++i) {
    const Range& range = free_[static_cast<size_t>(i)];
    if (range.size() >= bytes && (best == none || range.size() < free_[static_cast<size_t>(best)].size()))
      best = i;
  }
  if (best < none) return {best, std::max<int64_t>(0, bytes - free_[static_cast<size_t>(best)].resident)};
  const bool touches_top = none > 0 && free_.back().end == top_;
  return {none, bytes - (touches_top ? free_.back().resident : 0)};
}

void* LargeBlocks::take(Fit fit, int64_t bytes) {
  free_.reserve(free_.size() + static_cast<size_t>(live_) + 2);
  if (fit.index == static_cast<int64_t>(free_.size())) {
    void* data = grow(bytes);
    if (data) ++live_;
    return data;
  }
  Range& range = free_[static_cast<size_t>(fit.index)];
  char* data = range.begin;
  range.begin += bytes;
  const int64_t left = std::min(range.resident - std::min(bytes, range.resident), range.size());
  cached_ -= range.resident - left;
  range.resident = left;
  if (range.size() == 0) free_.erase(free_.begin() + fit.index);
  ++live_;
  return data;
}

// The last free range, if it reaches the top, and new bytes above it.
void* LargeBlocks::grow(int64_t bytes) {
  const bool extend = !free_.empty() && free_.back().end == top_;
  char* begin = extend ? free_.back().begin : top_;
  if (begin == nullptr || bytes > segment_end_ - begin) return open_segment(bytes);
  if (mprotect(top_, static_cast<size_t>(begin + bytes - top_), PROT_READ | PROT_WRITE) != 0) return nullptr;
  if (extend) {
    cached_ -= free_.back().resident;
    free_.pop_back();
  }
  top_ = begin + bytes;
  return begin;
}

void* LargeBlocks::open_segment(int64_t bytes) {
  int64_t size = segment_bytes(bytes);
  void* data = reserve(size);
  while (!data && size > bytes) data = reserve(size = std::max(bytes, rounded(size / 2)));
  if (!data) return nullptr;
  if (mprotect(data, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE) != 0) {
    munmap(data, static_cast<size_t>(size));
    return nullptr;
  }
  // Large tensors are streamed through: huge pages save page faults and TLB misses. Advice, may be ignored.
  madvise(data, static_cast<size_t>(size), MADV_HUGEPAGE);
  top_ = static_cast<char*>(data) + bytes;
  segment_end_ = static_cast<char*>(data) + size;
  return data;
}

void LargeBlocks::give(void* data, int64_t bytes) noexcept {
  Range block{static_cast<char*>(data), static_cast<char*>(data) + bytes, bytes};
  cached_ += bytes;
  --live_;
  auto next = std::lower_bound(free_.begin(), free_.end(), block.begin,
                               [](const Range& range, const char* begin) { return range.begin < begin; });
  if (next != free_.end() && next->begin == block.end) {
    block.end = next->end;
    block.resident += next->resident;
    next = free_.erase(next);
  }
  if (next != free_.begin() && std::prev(next)->end == block.begin) {
    std::prev(next)->end = block.end;
    std::prev(next)->resident += block.resident;
  } else {
    free_.insert(next, block);
  }
}

void LargeBlocks::release() {
  for (Range& range : free_) {
    if (range.resident > 0) madvise(range.begin, static_cast<size_t>(range.size()), MADV_DONTNEED);
    range.resident = 0;
  }
  cached_ = 0;
}

}  // namespace tern
