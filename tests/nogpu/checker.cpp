#include "tern/tests/nogpu/checker.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <new>

#include "tern/tests/nogpu/grid.h"

extern "C" char __executable_start, __bss_start, _end;  // NOLINT: the linker's names

namespace nogpu {
namespace {

#if defined(NOGPU_RACE)
constexpr bool kChecked = true;
#else
constexpr bool kChecked = false;
#endif

// What is known of one byte. A phase of 0: never.
struct Access {
  uint32_t phase = 0;
  uint32_t thread : 10 = 0;
  uint32_t warp_phase : 20 = 0;  // modulo 2^20
  uint32_t atomic : 1 = 0;
  uint32_t many : 1 = 0;  // readers of several warps in this phase
};
struct Byte {
  Access write, read;
};
// calloc hands out untouched pages: the bss of a test program is megabytes, its shared arrays are not.
using Bytes = std::unique_ptr<Byte[], decltype(&std::free)>;
Bytes make_bytes(size_t n) {
  return {kChecked && n ? static_cast<Byte*>(std::calloc(n, sizeof(Byte))) : nullptr, &std::free};
}

struct Allocation {
  size_t bytes;
  Bytes known;
};
std::map<const char*, Allocation>& allocations() {
  static auto* all = new std::map<const char*, Allocation>;
  return *all;
}
Bytes static_shared = make_bytes(0), dynamic_shared_bytes = make_bytes(0);
uint64_t accesses = 0;
struct Block {
  const char *begin = nullptr, *end = nullptr;
  Byte* known = nullptr;
} latest;  // allocation that was found

enum class Space { Shared, Global, None };
struct Place {
  Space space = Space::None;
  Byte* bytes = nullptr;
};

Place find(const char* a, size_t n) {
  if (grid.shared && a >= grid.shared && a + n <= grid.shared + grid.shared_bytes)
    return {Space::Shared, dynamic_shared_bytes.get() + (a - grid.shared)};
  if (a >= &__bss_start && a < &_end) return {Space::Shared, static_shared.get() + (a - &__bss_start)};
  if (a < latest.begin || a + n > latest.end) {
    auto next = allocations().upper_bound(a);
    if (next == allocations().begin()) return {};
    auto& [start, allocation] = *--next;
    if (a + n > start + allocation.bytes) return {};
    latest = {start, start + allocation.bytes, allocation.known.get()};
  }
  return {Space::Global, latest.known + (a - latest.begin)};
}

#if defined(NOGPU_RACE)

// Memory that is the thread's own or constant: its stack, the arguments, the indices, the program's
// constants.
bool is_private(const char* a, bool write) {
  const char* stack = grid.current->stack;
  if (a >= stack && a < stack + kStackBytes) return true;
  if (write) return false;
  const auto* arguments = static_cast<const char*>(grid.call->data.get());
  const auto* ids = reinterpret_cast<const char*>(&indices);
  return (a >= arguments && a < arguments + grid.call->bytes) || (a >= ids && a < ids + sizeof indices) ||
         (a >= &__executable_start && a < &__bss_start);
}

// Whether an earlier access, by another thread, has no barrier between itself and this one.
bool unordered(const Access& earlier, uint32_t oldest) {
  if (earlier.phase < oldest) return false;
  if (earlier.phase < grid.block_phase) return true;  // another block of this launch
  const auto me = static_cast<uint16_t>(grid.current->id);
  if (earlier.phase != grid.phase || earlier.thread == me) return false;
  const bool same_warp = earlier.thread / 32 == me / 32;
  return !same_warp || earlier.warp_phase == (grid.warps[me / 32].phase & 0xFFFFF);
}

std::string by_whom(const Access& access) {
  return access.phase < grid.block_phase ? "another block" : "thread " + std::to_string(access.thread);
}

[[noreturn]] void refuse(const std::string& what, Space space, size_t n, bool write) {
  const char* memory = space == Space::Shared ? "shared" : space == Space::Global ? "global" : "no device";
  abandon(describe_thread() + ": " + what + " (" + memory + " memory, " + (write ? "write" : "read") +
          " of " + std::to_string(n) + " bytes, after " + std::to_string(grid.phase - grid.block_phase) +
          " barriers)");
}

void check_byte(Byte& byte, Space space, size_t n, bool write, bool atomic) {
  const bool shared = space == Space::Shared;
  const uint32_t oldest = shared ? grid.block_phase : grid.launch_phase;
  if ((!write || atomic) && byte.write.phase < (shared ? grid.block_phase : 1u))
    refuse("read of memory that nobody wrote", space, n, write);
  if (unordered(byte.write, oldest) && !(atomic && byte.write.atomic))
    refuse("race: " + by_whom(byte.write) + " wrote it", space, n, write);
  const bool many = byte.read.many && byte.read.phase >= oldest && byte.read.phase == grid.phase;
  if (write && !(atomic && byte.read.atomic) && (unordered(byte.read, oldest) || many))
    refuse("race: " + by_whom(byte.read) + " read it", space, n, write);
  const auto me = static_cast<uint16_t>(grid.current->id);
  const Access now{grid.phase, me, grid.warps[me / 32].phase & 0xFFFFF, atomic, false};
  if (!write || atomic) {
    const bool with_others =
        byte.read.phase == grid.phase && (byte.read.many || byte.read.thread / 32 != me / 32);
    byte.read = now;
    byte.read.many = with_others;
  }
  if (write) byte.write = now;
}

bool same(const Byte& a, const Byte& b) { return std::memcmp(&a, &b, sizeof a) == 0; }  // without padding

void check_access(const void* data, size_t n, bool write, bool atomic) {
  const auto* a = static_cast<const char*>(data);
  if (!grid.current || !grid.error.empty()) return;  // host code
  if (is_private(a, write)) return;
  ++accesses;
  const Place place = find(a, n);
  if (place.space == Space::None)
    refuse("access to memory that is no live device allocation", place.space, n, write);
  if (reinterpret_cast<uintptr_t>(a) % std::min<size_t>(n, 16))
    refuse("misaligned access", place.space, n, write);
  // Most often what is known of the bytes is the same.
  const Byte before = place.bytes[0];
  check_byte(place.bytes[0], place.space, n, write, atomic);
  for (size_t i = 1; i < n; ++i) {
    if (same(place.bytes[i], before)) place.bytes[i] = place.bytes[0];
    else check_byte(place.bytes[i], place.space, n, write, atomic);
  }
}

#endif

}  // namespace

Build build() {
#if defined(NOGPU_RACE)
  return Build::Race;
#elif defined(NOGPU_ASAN)
  return Build::Asan;
#else
  return Build::Plain;
#endif
}

uint64_t checked_accesses() { return accesses; }

void checker_begin_grid() {
  dynamic_shared_bytes = make_bytes(grid.shared_bytes);
  if (kChecked && !static_shared) static_shared = make_bytes(static_cast<size_t>(&_end - &__bss_start));
}

void* device_allocate(size_t bytes) {
  // The exact size, so that AddressSanitizer's guard begins at the first byte past the end.
  void* data = nullptr;
  if (posix_memalign(&data, 256, std::max<size_t>(bytes, 1)) != 0) throw std::bad_alloc();
  std::memset(data, 0xFF, bytes);
  allocations().emplace(static_cast<char*>(data), Allocation{bytes, make_bytes(bytes)});
  return data;
}

void device_free(void* data) {
  if (!data) return;
  latest = {};
  if (!allocations().erase(static_cast<const char*>(data))) throw Fault("cudaFree of what is no allocation");
  std::free(data);
}

size_t device_allocations() { return allocations().size(); }

bool is_device_memory(const void* data, size_t bytes) {
  const auto* a = static_cast<const char*>(data);
  const auto next = allocations().upper_bound(a);
  if (next == allocations().begin()) return false;
  const auto& [start, allocation] = *std::prev(next);
  return a + bytes <= start + allocation.bytes;
}

void device_written(void* data, size_t bytes) {
  if (!kChecked || bytes == 0) return;
  Byte* known = find(static_cast<const char*>(data), bytes).bytes;
  for (size_t i = 0; i < bytes; ++i) {
    known[i] = Byte{};
    known[i].write.phase = 1;
  }
}

bool device_was_written(const void* data, size_t bytes) {
  if (!kChecked || bytes == 0) return true;
  const Byte* known = find(static_cast<const char*>(data), bytes).bytes;
  return std::all_of(known, known + bytes, [](const Byte& byte) { return byte.write.phase > 0; });
}

void atomic_access([[maybe_unused]] const void* data, [[maybe_unused]] size_t bytes) {
#if defined(NOGPU_RACE)
  check_access(data, bytes, true, true);
#endif
}

}  // namespace nogpu

#if defined(NOGPU_RACE)
// What the compiler's -fsanitize=thread calls; libtsan is not linked.
#define NOGPU_HOOKS(N)                                                                \
  void __tsan_read##N(void* p) { nogpu::check_access(p, N, false, false); }           \
  void __tsan_write##N(void* p) { nogpu::check_access(p, N, true, false); }           \
  void __tsan_unaligned_read##N(void* p) { nogpu::check_access(p, N, false, false); } \
  void __tsan_unaligned_write##N(void* p) { nogpu::check_access(p, N, true, false); } \
  void __tsan_volatile_read##N(void* p) { nogpu::check_access(p, N, false, false); }  \
  void __tsan_volatile_write##N(void* p) { nogpu::check_access(p, N, true, false); }
extern "C" {
NOGPU_HOOKS(1)
NOGPU_HOOKS(2) NOGPU_HOOKS(4) NOGPU_HOOKS(8) NOGPU_HOOKS(16) void __tsan_read_range(void* p, size_t n) {
  nogpu::check_access(p, n, false, false);
}
void __tsan_write_range(void* p, size_t n) { nogpu::check_access(p, n, true, false); }
// Atomics of the host's code (reference counts); kernels use atomic_update.
#define NOGPU_ATOMICS(N, T)                                                                       \
  T __tsan_atomic##N##_load(const volatile T* p, int) { return __atomic_load_n(p, 5); }           \
  void __tsan_atomic##N##_store(volatile T* p, T v, int) { __atomic_store_n(p, v, 5); }           \
  T __tsan_atomic##N##_exchange(volatile T* p, T v, int) { return __atomic_exchange_n(p, v, 5); } \
  T __tsan_atomic##N##_fetch_add(volatile T* p, T v, int) { return __atomic_fetch_add(p, v, 5); } \
  T __tsan_atomic##N##_fetch_sub(volatile T* p, T v, int) { return __atomic_fetch_sub(p, v, 5); } \
  int __tsan_atomic##N##_compare_exchange_strong(volatile T* p, T* e, T v, int, int) {            \
    return __atomic_compare_exchange_n(p, e, v, false, 5, 5);                                     \
  }
NOGPU_ATOMICS(8, unsigned char)
NOGPU_ATOMICS(32, unsigned)
NOGPU_ATOMICS(64, unsigned long)
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
}
#endif
