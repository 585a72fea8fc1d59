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

namespace tern {

constexpr size_t kSmallBlock = 64, kLargestSmallBlock = 1024;

// Aligned to 64. Above kLargestSmallBlock the block is the system's. Throws std::bad_alloc.
void* allocate_small(size_t bytes);
void deallocate_small(void* block, size_t bytes) noexcept;  // bytes as allocated
int64_t small_slabs();                                      // how often the system was asked for a slab

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
