#include "tern/core/small_blocks.h"

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>

namespace tern {
namespace {

constexpr int kClasses = kLargestSmallBlock / kSmallBlock;
constexpr int kChain = 256;  // blocks that move together
constexpr size_t kSlab = 64 << 10;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kPooled = false;
#elif defined(__has_feature)
constexpr bool kPooled = !__has_feature(address_sanitizer);
#else
constexpr bool kPooled = true;
#endif

struct Block {
  Block* next;
  Block* next_chain;  // of a chain's first block, in the shared list
  int count;          // likewise: blocks in the chain
};

struct Chain {
  Block* first = nullptr;
  int count = 0;

  void push(Block* block) {
    block->next = first;
    first = block;
    ++count;
  }
  Block* pop() {
    --count;
    return std::exchange(first, first->next);
  }
};

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

std::atomic<int64_t> slabs{0};

// What a thread holds: reached without a guard, so without constructor and destructor.
struct Held {
  Chain current[kClasses], spare[kClasses];
  int most = 0;  // blocks in a chain; 0 until it is settled what happens at the thread's end
};
constinit thread_local Held t_held;

// Gives what a thread holds to the others when it ends.
struct AtThreadEnd {
  ~AtThreadEnd() {
    for (int c = 0; c < kClasses; ++c) {
      shared().give(c, t_held.current[c]);
      shared().give(c, t_held.spare[c]);
    }
  }
};

Chain cut_slab(size_t bytes) {
  auto* slab = static_cast<char*>(std::aligned_alloc(kSmallBlock, kSlab));
  if (!slab) throw std::bad_alloc();
  slabs.fetch_add(1, std::memory_order_relaxed);
  Chain chain;
  for (size_t at = kSlab / bytes * bytes; at > 0; at -= bytes) chain.push(new (slab + at - bytes) Block);
  return chain;
}

void settle() {
  thread_local AtThreadEnd at_thread_end;
  (void)&at_thread_end;
  t_held.most = kChain;
}

[[gnu::noinline]] void refill(int size_class) {
  if (t_held.most == 0) settle();
  Chain& current = t_held.current[size_class];
  std::swap(current, t_held.spare[size_class]);
  if (current.first) return;
  current = shared().take(size_class);
  if (!current.first) current = cut_slab(static_cast<size_t>(size_class + 1) * kSmallBlock);
}

[[gnu::noinline]] void make_room(int size_class) {
  if (t_held.most == 0) return settle();
  Chain& spare = t_held.spare[size_class];
  shared().give(size_class, spare);
  std::swap(t_held.current[size_class], spare);
}

int class_of(size_t bytes) { return bytes == 0 ? 0 : static_cast<int>((bytes - 1) / kSmallBlock); }

}  // namespace

void* allocate_small(size_t bytes) {
  if (!kPooled || bytes > kLargestSmallBlock) [[unlikely]] {
    const size_t blocks = bytes == 0 ? 1 : (bytes + kSmallBlock - 1) / kSmallBlock;
    void* block = std::aligned_alloc(kSmallBlock, blocks * kSmallBlock);
    return block ? block : throw std::bad_alloc();
  }
  const int size_class = class_of(bytes);
  Chain& chain = t_held.current[size_class];
  if (!chain.first) [[unlikely]]
    refill(size_class);
  return chain.pop();
}

int64_t small_slabs() { return slabs.load(std::memory_order_relaxed); }

void deallocate_small(void* block, size_t bytes) noexcept {
  if (!block) return;
  if (!kPooled || bytes > kLargestSmallBlock) [[unlikely]]
    return std::free(block);
  const int size_class = class_of(bytes);
  Chain& chain = t_held.current[size_class];
  if (chain.count >= t_held.most) [[unlikely]]
    make_room(size_class);
  chain.push(new (block) Block);
}

}  // namespace tern
