#pragma once
// Memory for the small objects that every operation makes: tensors, storages, tape nodes, their lists, and
// the bytes of tensors of a few elements. One call of malloc costs as much as a small operation.
//
// Blocks come in classes of 64 bytes, cut from slabs and never given back to the system. A thread takes from
// and returns to two chains of its own, without a lock. When both are full, or empty, a whole chain moves to
// or from a list shared by all threads, so that one thread may make what another destroys without bound.
// Under AddressSanitizer every block is the system's, so that its reports name the right object.

#include <cstddef>
#include <cstdint>
#include <utility>

namespace tern {

constexpr size_t kSmallBlock = 64, kLargestSmallBlock = 1024;

namespace small {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kPooled = false;
#elif defined(__has_feature)
inline constexpr bool kPooled = !__has_feature(address_sanitizer);
#else
inline constexpr bool kPooled = true;
#endif

struct Block {
  Block* next;
  Block* next_chain;  // of a chain's first block, in the list of all threads
  int count;          // likewise: blocks in the chain
};

struct Chain {
  Block* first = nullptr;
  int count = 0;
};

// Blocks of n * 64 bytes are class n; class 0, of nothing, has 64 bytes, too.
constexpr int kClasses = 1 + kLargestSmallBlock / kSmallBlock;

// What a thread holds: reached without a guard, so without constructor and destructor.
struct Held {
  Chain current[kClasses], spare[kClasses];
  int most = 0;  // blocks in a chain; 0 until it is settled what happens at the thread's end
};
extern constinit thread_local Held t_held;

void* refilled(size_t bytes);  // of an empty chain, or of no class
void deallocate_slowly(void* block, size_t bytes) noexcept;

}  // namespace small

// Aligned to 64. Above kLargestSmallBlock the block is the system's. Throws std::bad_alloc.
inline void* allocate_small(size_t bytes) {
  if (!small::kPooled || bytes > kLargestSmallBlock) [[unlikely]]
    return small::refilled(bytes);
  small::Chain& chain = small::t_held.current[(bytes + kSmallBlock - 1) / kSmallBlock];
  if (!chain.first) [[unlikely]]
    return small::refilled(bytes);
  --chain.count;
  return std::exchange(chain.first, chain.first->next);
}

// bytes as allocated; block may be null.
inline void deallocate_small(void* block, size_t bytes) noexcept {
  if (!small::kPooled || bytes > kLargestSmallBlock) [[unlikely]]
    return small::deallocate_slowly(block, bytes);
  small::Chain& chain = small::t_held.current[(bytes + kSmallBlock - 1) / kSmallBlock];
  if (chain.count >= small::t_held.most || !block) [[unlikely]]
    return small::deallocate_slowly(block, bytes);
  auto* freed = static_cast<small::Block*>(block);
  freed->next = std::exchange(chain.first, freed);
  ++chain.count;
}

int64_t small_slabs();  // how often the system was asked for a slab

// For standard containers of a few elements.
template <class T>
struct SmallAllocator {
  using value_type = T;
  SmallAllocator() = default;
  template <class U>
  SmallAllocator(const SmallAllocator<U>&) {}
  T* allocate(size_t n) { return static_cast<T*>(allocate_small(n * sizeof(T))); }
  void deallocate(T* data, size_t n) noexcept { deallocate_small(data, n * sizeof(T)); }
  template <class U>
  bool operator==(const SmallAllocator<U>&) const {
    return true;
  }
};

}  // namespace tern
