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
// Between begin_pool and end_pool, while the device records a graph (cuda/step_graph.cpp), every block comes
// from memory that no other request gets until the pool is dropped: a replay uses the same addresses again.
// The driver is asked in the mode in which that is allowed, and nothing goes back to it. Where the driver
// refuses, all whole segments that are free go back to it and the request is tried once more; then
// MemoryError says what was asked for, what is in use and what the device has.

#include <compare>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>

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
  // One at a time, after release_cached. Gives the pool's number.
  int begin_pool();
  void end_pool();
  void drop_pool(int pool) noexcept;  // its memory, free or in use, is everyone's again
  // Off: every block that follows is a cudaMalloc of its own and exactly as large as asked for, so that tools
  // which watch memory (compute-sanitizer, the emulator) see where it ends. Slow.
  void set_caching(bool on);

 private:
  struct Block {
    int64_t bytes;
    bool used;
    bool first;        // starts a segment: never joined to the block before it
    bool kept = true;  // goes back to the driver when it is freed if not
    int pool = 0;      // 0: everyone's
  };
  using Blocks = std::map<char*, Block>;
  struct FreeBlock {
    int pool;
    int64_t bytes;
    char* data;
    friend auto operator<=>(const FreeBlock&, const FreeBlock&) = default;
  };
  static FreeBlock entry_of(Blocks::const_iterator block) {
    return {block->second.pool, block->second.bytes, block->first};
  }

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
  int pool_ = 0, last_pool_ = 0;  // that blocks are taken from now; the latest made
  Blocks blocks_;                 // by address
  std::set<FreeBlock> free_;      // by pool, size, then address
  MemoryStats stats_;
};

}  // namespace tern::cu
