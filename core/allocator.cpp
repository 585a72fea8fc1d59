#include "tern/core/allocator.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <mutex>
#include <string>
#include <vector>

#include <sys/resource.h>

#include "tern/core/error.h"
#include "tern/core/large_blocks.h"
#include "tern/core/shape.h"
#include "tern/core/small_blocks.h"

namespace tern {
namespace {

constexpr int64_t kAlignment = 64;
// Blocks up to this come from core/small_blocks.h, without a lock.
constexpr int64_t kSmallest = kLargestSmallBlock;
// Blocks above this share pages (core/large_blocks.h), smaller ones are kept in classes of sizes.
constexpr int64_t kLargestClass = int64_t{1} << 20;
// Requests below this are not checked against the available memory: reading it costs more than they do.
constexpr int64_t kCheckedSize = int64_t{16} << 20;

// Size classes: four per power of two from 64 bytes, so that at most a quarter of a block is slack.
int class_of(int64_t bytes) {
  if (bytes <= kAlignment) return 0;
  const auto value = static_cast<uint64_t>(bytes - 1);
  const int log = 63 - std::countl_zero(value);
  return (log - 6) * 4 + static_cast<int>((value >> (log - 2)) & 3) + 1;
}

int64_t class_bytes(int size_class) {
  if (size_class == 0) return kAlignment;
  const int log = (size_class - 1) / 4 + 6, quarter = (size_class - 1) % 4;
  const int64_t bytes = (int64_t{4 + quarter + 1} << log) / 4;
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

int64_t read_number(const char* path, const char* key = nullptr) {
  std::ifstream file(path);
  std::string word;
  while (file >> word) {
    if (key && word != key) continue;
    if (key && !(file >> word)) break;
    char* end = nullptr;
    const int64_t value = std::strtoll(word.c_str(), &end, 10);
    return end != word.c_str() ? value : -1;
  }
  return -1;
}

class CpuAllocator {
 public:
  void* allocate(int64_t bytes) {
    const int64_t rounded = rounded_bytes(bytes);
    if (bytes <= kSmallest) {
      void* data = allocate_small(static_cast<size_t>(rounded));
      count(rounded);
      return data;
    }
    std::lock_guard lock(mutex_);
    void* data = bytes > kLargestClass ? take_large(rounded) : take_small(class_of(bytes), rounded);
    count(rounded);
    return data;
  }

  void deallocate(void* data, int64_t bytes) noexcept {
    const int64_t rounded = rounded_bytes(bytes);
    in_use_.fetch_sub(rounded, std::memory_order_relaxed);
    if (bytes <= kSmallest) return deallocate_small(data, static_cast<size_t>(rounded));
    std::lock_guard lock(mutex_);
    if (bytes > kLargestClass) return large_.give(data, rounded);
    try {
      free_[static_cast<size_t>(class_of(bytes))].push_back(data);
      small_cached_ += rounded;
    } catch (...) {
      std::free(data);
    }
  }

  MemoryStats stats() {
    std::lock_guard lock(mutex_);
    return {.in_use = in_use_,
            .peak_in_use = peak_in_use_,
            .cached = small_cached_ + large_.cached(),
            .system_allocations = system_allocations_ + small_slabs()};
  }
  void reset_peak() { peak_in_use_ = in_use_.load(); }
  void release_cached() {
    std::lock_guard lock(mutex_);
    release_locked();
  }

 private:
  void count(int64_t bytes) {
    const int64_t in_use = in_use_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    int64_t peak = peak_in_use_.load(std::memory_order_relaxed);
    while (in_use > peak && !peak_in_use_.compare_exchange_weak(peak, in_use, std::memory_order_relaxed)) {
    }
  }

  static int64_t rounded_bytes(int64_t bytes) {
    return bytes > kLargestClass ? LargeBlocks::rounded(bytes) : class_bytes(class_of(bytes));
  }

  void* take_small(int size_class, int64_t bytes) {
    auto& list = free_[static_cast<size_t>(size_class)];
    if (!list.empty()) {
      void* data = list.back();
      list.pop_back();
      small_cached_ -= bytes;
      return data;
    }
    void* data = std::aligned_alloc(kAlignment, static_cast<size_t>(bytes));
    if (!data) {
      release_locked();
      data = std::aligned_alloc(kAlignment, static_cast<size_t>(bytes));
    }
    return granted(data, bytes);
  }

  void* take_large(int64_t bytes) {
    LargeBlocks::Fit fit = large_.find(bytes);
    if (fit.fresh >= kCheckedSize && fit.fresh > available_memory()) {
      release_locked();
      fit = large_.find(bytes);
      const int64_t available = available_memory();
      check<MemoryError>(fit.fresh <= available, "memory: ", bytes >> 20, " MiB asked for, ", available >> 20,
                         " MiB available; hint: use a smaller batch or image size");
    }
    void* data = large_.take(fit, bytes);
    return fit.fresh > 0 ? granted(data, bytes) : data;
  }

  // What the system answered.
  void* granted(void* data, int64_t bytes) {
    check<MemoryError>(data != nullptr, "memory: the system refused ", bytes,
                       " bytes; hint: use a smaller batch or image size");
    ++system_allocations_;
    return data;
  }

  void release_locked() {
    for (auto& list : free_) {
      for (void* data : list) std::free(data);
      list.clear();
    }
    small_cached_ = 0;
    large_.release();
  }

  std::mutex mutex_;
  std::array<std::vector<void*>, 64> free_;
  int64_t small_cached_ = 0;
  LargeBlocks large_;
  int64_t system_allocations_ = 0;
  std::atomic<int64_t> in_use_{0}, peak_in_use_{0};
};

// Never destroyed: tensors of static lifetime may be freed after any static destructor.
CpuAllocator& cpu_allocator() {
  static auto* allocator = new CpuAllocator;
  return *allocator;
}

// What fail_allocation_for_test() asked for; 0: nothing.
std::atomic<int64_t> fail_in{0};
std::atomic<bool> fail_permanently{false};

void fail_if_asked(int64_t bytes) {
  if (fail_in.load(std::memory_order_relaxed) == 0) [[likely]]
    return;
  const bool last = fail_in.load() == 1;
  if (!last || !fail_permanently) --fail_in;
  if (last)
    throw MemoryError(concat_text("memory: allocation of ", bytes, " bytes failed (injected by a test)"));
}

// Whether the device is the CPU; throws where it is another and this build has no other.
bool on_cpu(Device device) {
  if (device.is_cpu()) [[likely]]
    return true;
  check<DeviceError>(kWithCuda, "device ", to_string(device),
                     ": this build has no CUDA; hint: use the device cpu, or build with -DTERN_CUDA=ON");
  return false;
}

template <class T>
void fill_loop(void* data, const void* element, int64_t n) {
  T value;
  std::memcpy(&value, element, sizeof value);
  std::fill_n(static_cast<T*>(data), n, value);
}

void fill_on_cpu(void* data, const void* element, int64_t element_bytes, int64_t n) {
  switch (element_bytes) {
    case 1: return fill_loop<uint8_t>(data, element, n);
    case 2: return fill_loop<uint16_t>(data, element, n);
    case 4: return fill_loop<uint32_t>(data, element, n);
    default: return fill_loop<uint64_t>(data, element, n);
  }
}

}  // namespace

void* allocate_bytes(int64_t bytes, Device device) {
  const bool cpu = on_cpu(device);
  check<ShapeError>(bytes >= 0 && bytes <= Shape::kMaxBytes, "memory: ", bytes,
                    " bytes asked for in one block");
  fail_if_asked(bytes);
  if constexpr (kWithCuda) {
    if (!cpu) return cu::allocate_bytes(bytes, device);
  }
  return cpu_allocator().allocate(bytes);
}

void deallocate_bytes(void* data, int64_t bytes, Device device) noexcept {
  if (!data) return;
  on_device(
      device, [&] { cpu_allocator().deallocate(data, bytes); }, [&] { cu::deallocate_bytes(data, device); });
}

MemoryStats memory_stats(Device device) {
  on_cpu(device);
  return on_device(
      device, [] { return cpu_allocator().stats(); }, [&] { return cu::memory_stats(device); });
}
void reset_peak_memory(Device device) {
  on_cpu(device);
  on_device(
      device, [] { cpu_allocator().reset_peak(); }, [&] { cu::reset_peak_memory(device); });
}
void release_cached_memory(Device device) {
  on_cpu(device);
  on_device(
      device, [] { cpu_allocator().release_cached(); }, [&] { cu::release_cached_memory(device); });
}

void copy_bytes(void* to, Device to_device, const void* from, Device from_device, int64_t bytes) {
  if (bytes == 0) return;
  on_device(
      to_device.is_cpu() ? from_device : to_device,
      [&] { std::memmove(to, from, static_cast<size_t>(bytes)); },
      [&] { cu::copy_bytes(to, to_device, from, from_device, bytes); });
}

void fill_elements(void* data, Device device, const void* element, int64_t element_bytes, int64_t n) {
  on_device(
      device, [&] { fill_on_cpu(data, element, element_bytes, n); },
      [&] { cu::fill_elements(data, device, element, element_bytes, n); });
}

void fail_allocation_for_test(int64_t nth, bool permanent) {
  fail_permanently = permanent;
  fail_in = nth;
}

int64_t available_memory() {
  int64_t available = std::numeric_limits<int64_t>::max();
  const int64_t kib = read_number("/proc/meminfo", "MemAvailable:");
  if (kib >= 0) available = kib * 1024;
  const int64_t limit = read_number("/sys/fs/cgroup/memory.max");
  const int64_t used = read_number("/sys/fs/cgroup/memory.current");
  if (limit >= 0 && used >= 0) available = std::min(available, std::max<int64_t>(0, limit - used));
  rlimit address_space{};
  if (getrlimit(RLIMIT_AS, &address_space) == 0 && address_space.rlim_cur != RLIM_INFINITY) {
    const int64_t pages = read_number("/proc/self/statm");
    const int64_t mapped = pages > 0 ? pages * sysconf(_SC_PAGESIZE) : 0;
    available =
        std::min(available, std::max<int64_t>(0, static_cast<int64_t>(address_space.rlim_cur) - mapped));
  }
  return available;
}

}  // namespace tern
