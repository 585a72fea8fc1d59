#include "tern/core/small_blocks.h"

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <new>

namespace tern {
namespace small {

constinit thread_local Held t_held;

namespace {

constexpr int kChain = 256;  // blocks that move together
constexpr size_t kSlab = 64 << 10;

// Chains that no thread holds, per class.
struct Shared {
  std::mutex mutex;
  Block* chains[kClasses] = {};

  void give(int size_class, Chain& chain) {
    if (!chain.first) return;
    chain.first->count = chain.count;
    std::lock_guard lock(mutex);
    chain.first->next_chain = std::exchange(chains[size_class], chain.first);
    chain = {};
  }
  Chain take(int size_class) {
    std::lock_guard lock(mutex);
    Block* first = chains[size_class];
    if (!first) return {};
    chains[size_class] = first->next_chain;
    return {first, first->count};
  }
};

// Never destroyed: objects of static lifetime may go after any static destructor.
Shared& shared() {
  static auto* list = new Shared;
  return *list;
}

// Gives what a thread holds to the others when it ends.
struct AtThreadEnd {
  ~AtThreadEnd() {
    for (int c = 0; c < kClasses; ++c) {
      shared().give(c, t_held.current[c]);
      shared().give(c, t_held.spare[c]);
    }
  }
};

void settle() {
  thread_local AtThreadEnd at_thread_end;
  (void)&at_thread_end;
  t_held.most = kChain;
}

std::atomic<int64_t> slabs{0};

Chain cut_slab(size_t bytes) {
  auto* slab = static_cast<char*>(std::aligned_alloc(kSmallBlock, kSlab));
  if (!slab) throw std::bad_alloc();
  slabs.fetch_add(1, std::memory_order_relaxed);
  Chain chain;
  for (size_t at = kSlab / bytes * bytes; at > 0; at -= bytes, ++chain.count)
    chain.first = new (slab + at - bytes) Block{chain.first, nullptr, 0};
  return chain;
}

int class_of(size_t bytes) { return static_cast<int>((bytes + kSmallBlock - 1) / kSmallBlock); }

size_t class_bytes(int size_class) { return kSmallBlock * (size_class == 0 ? 1 : size_t(size_class)); }

}  // namespace

void* refilled(size_t bytes) {
  const int size_class = class_of(bytes);
  if (!kPooled || bytes > kLargestSmallBlock) {
    void* block = std::aligned_alloc(kSmallBlock, class_bytes(size_class));
    return block ? block : throw std::bad_alloc();
  }
  if (t_held.most == 0) settle();
  Chain& current = t_held.current[size_class];
  std::swap(current, t_held.spare[size_class]);
  if (!current.first) current = shared().take(size_class);
  if (!current.first) current = cut_slab(class_bytes(size_class));
  return allocate_small(bytes);
}

void deallocate_slowly(void* block, size_t bytes) noexcept {
  if (!block) return;
  if (!kPooled || bytes > kLargestSmallBlock) return std::free(block);
  const int size_class = class_of(bytes);
  if (t_held.most == 0) {
    settle();
  } else {
    shared().give(size_class, t_held.spare[size_class]);
    std::swap(t_held.current[size_class], t_held.spare[size_class]);
  }
  deallocate_small(block, bytes);
}

}  // namespace small

int64_t small_slabs() { return small::slabs.load(std::memory_order_relaxed); }

}  // namespace tern
