#include "tern/cuda/allocator.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "tern/core/error.h"
#include "tern/cuda/error.h"

namespace tern::cu {
namespace {

constexpr int64_t kGranule = 512;
constexpr int64_t kSmall = int64_t{1} << 20;
constexpr int64_t kSegment = int64_t{2} << 20;

int64_t round_up(int64_t bytes, int64_t unit) { return (bytes + unit - 1) / unit * unit; }

// In its scope this thread may ask the driver for memory although one of its streams is recorded: the call is
// no part of the graph, which only keeps the address.
class RelaxedCapture {
 public:
  RelaxedCapture() { TERN_CUDA_CALL(cudaThreadExchangeStreamCaptureMode(&mode_)); }
  ~RelaxedCapture() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

}  // namespace

CachingAllocator::~CachingAllocator() {
  for (const auto& [data, block] : blocks_)
    if (block.first) cudaFree(data);
}

void* CachingAllocator::allocate(int64_t bytes) {
  const int64_t rounded = std::max(round_up(bytes, kGranule), kGranule);
  std::lock_guard lock(mutex_);
  auto block = caching_ || pool_ != 0 ? take_free(rounded) : take_alone(bytes);
  if (block == blocks_.end()) block = new_segment(rounded);
  if (block->second.kept) split(block, rounded);
  block->second.used = true;
  stats_.in_use += block->second.bytes;
  stats_.cached -= block->second.bytes;
  stats_.peak_in_use = std::max(stats_.peak_in_use, stats_.in_use);
  return block->first;
}

void CachingAllocator::deallocate(void* data) noexcept {
  if (!data) return;
  std::lock_guard lock(mutex_);
  auto block = blocks_.find(static_cast<char*>(data));
  if (block == blocks_.end() || !block->second.used) return;
  block->second.used = false;
  stats_.in_use -= block->second.bytes;
  stats_.cached += block->second.bytes;
  if (!block->second.kept) return give_back(block);
  join_next(block);
  if (!block->second.first) {
    const auto before = std::prev(block);
    if (!before->second.used) {
      free_.erase(entry_of(before));
      join_next(before);
      block = before;
    }
  }
  try {
    free_.insert(entry_of(block));
  } catch (...) {
    // No memory on the host for the list's entry: the block is lost for reuse, nothing else is wrong.
  }
}

MemoryStats CachingAllocator::stats() const {
  std::lock_guard lock(mutex_);
  return stats_;
}
void CachingAllocator::reset_peak() {
  std::lock_guard lock(mutex_);
  stats_.peak_in_use = stats_.in_use;
}
void CachingAllocator::set_caching(bool on) {
  std::lock_guard lock(mutex_);
  caching_ = on;
}
void CachingAllocator::release_cached() {
  std::lock_guard lock(mutex_);
  release_locked();
}

int CachingAllocator::begin_pool() {
  std::lock_guard lock(mutex_);
  check(pool_ == 0, "cuda: memory pools do not nest");
  return pool_ = ++last_pool_;
}
void CachingAllocator::end_pool() {
  std::lock_guard lock(mutex_);
  pool_ = 0;
}
void CachingAllocator::drop_pool(int pool) noexcept {
  std::lock_guard lock(mutex_);
  for (auto block = blocks_.begin(); block != blocks_.end(); ++block) {
    if (block->second.pool != pool) continue;
    auto entry = free_.extract(entry_of(block));  // relinked: nothing is allocated
    block->second.pool = 0;
    if (entry.empty()) continue;
    entry.value() = entry_of(block);
    free_.insert(std::move(entry));
  }
}

CachingAllocator::Blocks::iterator CachingAllocator::take_alone(int64_t bytes) {
  auto* data = static_cast<char*>(ask_driver(std::max<int64_t>(bytes, 1)));
  stats_.cached += bytes;
  return blocks_.emplace(data, Block{bytes, false, true, false}).first;
}

CachingAllocator::Blocks::iterator CachingAllocator::take_free(int64_t bytes) {
  const auto found = free_.lower_bound({pool_, bytes, nullptr});
  if (found == free_.end() || found->pool != pool_) return blocks_.end();
  const auto block = blocks_.find(found->data);
  free_.erase(found);
  return block;
}

CachingAllocator::Blocks::iterator CachingAllocator::new_segment(int64_t bytes) {
  const int64_t segment = bytes <= kSmall ? kSegment : round_up(bytes, kSegment);
  auto* data = static_cast<char*>(ask_driver(segment));
  stats_.cached += segment;
  return blocks_.emplace(data, Block{segment, false, true, true, pool_}).first;
}

void* CachingAllocator::ask_driver(int64_t bytes) {
  void* data = nullptr;
  TERN_CUDA_CALL(cudaSetDevice(device_));
  std::optional<RelaxedCapture> relaxed;
  if (pool_ != 0) relaxed.emplace();
  cudaError_t status = cudaMalloc(&data, static_cast<size_t>(bytes));
  if (status == cudaErrorMemoryAllocation && pool_ == 0) {
    cudaGetLastError();
    release_locked();
    status = cudaMalloc(&data, static_cast<size_t>(bytes));
  }
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    refuse(bytes);
  }
  check_cuda(status, "cudaMalloc");
  ++stats_.system_allocations;
  return data;
}

void CachingAllocator::split(Blocks::iterator block, int64_t bytes) {
  const int64_t rest = block->second.bytes - bytes;
  if (rest < kGranule) return;
  block->second.bytes = bytes;
  char* const data = block->first + bytes;
  free_.insert(entry_of(blocks_.emplace(data, Block{rest, false, false, true, block->second.pool}).first));
}

// A free block swallows the next one of its segment where that is free too; the caller lists the result.
void CachingAllocator::join_next(Blocks::iterator block) {
  const auto next = std::next(block);
  if (next == blocks_.end() || next->second.first || next->second.used) return;
  free_.erase(entry_of(next));
  block->second.bytes += next->second.bytes;
  blocks_.erase(next);
}

// cudaFree waits for the device, so that no kernel still uses the block.
void CachingAllocator::give_back(Blocks::iterator block) noexcept {
  stats_.cached -= block->second.bytes;
  cudaFree(block->first);
  blocks_.erase(block);
}

void CachingAllocator::release_locked() {
  for (auto block = blocks_.begin(); block != blocks_.end();) {
    const auto next = std::next(block);
    const bool whole = next == blocks_.end() || next->second.first;
    if (block->second.first && !block->second.used && whole && block->second.pool == 0) {
      stats_.cached -= block->second.bytes;
      free_.erase(entry_of(block));
      TERN_CUDA_CALL(cudaFree(block->first));
      blocks_.erase(block);
    }
    block = next;
  }
}

void CachingAllocator::refuse(int64_t bytes) {
  size_t free = 0, total = 0;
  TERN_CUDA_CALL(cudaMemGetInfo(&free, &total));
  throw MemoryError(concat_text("memory: ", bytes >> 20, " MiB asked for on cuda:", device_, ", which has ",
                                static_cast<int64_t>(free >> 20), " MiB free of ",
                                static_cast<int64_t>(total >> 20), " MiB (", stats_.in_use >> 20,
                                " MiB in use here, ", stats_.cached >> 20,
                                " MiB kept); hint: use a smaller batch or image size"));
}

}  // namespace tern::cu
