#pragma once
// The caching allocator of one device. Memory is taken from the driver in segments and never handed back
// while training runs: after the first steps cudaMalloc, which waits for the device, is not called any more.
//
//   request            rounded up to 512 bytes
//   up to 1 MiB        cut out of 2 MiB segments
//   larger             a segment of its own, rounded up to 2 MiB; its rest serves other requests
//   free               the block joins its free neighbours of the same segment
//   choice             the smallest free block that fits, the lowest address of equals: the same sequence of
//   requests
//                      gives the same addresses
//
// All kernels run on one stream, so a block may be handed out again while the kernel that used it last still
// runs: the next user's kernel comes after it. A copy on another stream waits for an event (cuda/staging.h).
// Where the driver refuses, all whole segments that are free go back to it and the request is tried once
// more; then MemoryError says what was asked for, what is in use and what the device has.

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "tern/core/allocator.h"

namespace tern::cu {

class CachingAllocator {
 public:
  explicit CachingAllocator(int device) : device_(device) {}
  ~CachingAllocator();
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;

  void* allocate(int64_t bytes);  // aligned to 512; 0 bytes give a valid pointer
  void deallocate(void* data) noexcept;
  MemoryStats stats() const;
  void reset_peak();
  void release_cached();  // hands free segments back; waits for the device
  // Off: every block that follows is a cudaMalloc of its own and exactly as large as asked for, so that tools
  // which watch memory (compute-sanitizer, the emulator) see where it ends. Slow.
  void set_caching(bool on);

 private:
  struct Block {
    int64_t bytes;
    bool used;
    bool first;        // starts a segment: never joined to the block before it
    bool kept = true;  // goes back to the driver when it is freed if not
  };
  using Blocks = std::map<char*, Block>;

  Blocks::iterator take_alone(int64_t bytes);
  Blocks::iterator take_free(int64_t bytes);
  Blocks::iterator new_segment(int64_t bytes);
  void* ask_driver(int64_t bytes);
  void split(Blocks::iterator block, int64_t bytes);
  void join_next(Blocks::iterator block);
  void release_locked();
  void give_back(Blocks::iterator block) noexcept;
  [[noreturn]] void refuse(int64_t bytes);

  int device_;
  bool caching_ = true;
  mutable std::mutex mutex_;
  Blocks blocks_;                             // by address
  std::set<std::pair<int64_t, char*>> free_;  // by size, then address
  MemoryStats stats_;
};

}  // namespace tern::cu
