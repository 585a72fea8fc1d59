#include "tern/core/allocator.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <mutex>
#include <string>
#include <vector>

#include <sys/resource.h>

#include "tern/core/error.h"
#include "tern/core/large_blocks.h"
#include "tern/core/shape.h"

namespace tern {
namespace {

constexpr int64_t kAlignment = 64;
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
    std::lock_guard lock(mutex_);
    fail_if_asked(bytes);
    const int64_t rounded = rounded_bytes(bytes);
    void* data = bytes > kLargestClass ? take_large(rounded) : take_small(class_of(bytes), rounded);
    stats_.in_use += rounded;
    if (stats_.in_use > stats_.peak_in_use) stats_.peak_in_use = stats_.in_use;
    return data;
  }

  void deallocate(void* data, int64_t bytes) noexcept {
    const int64_t rounded = rounded_bytes(bytes);
    std::lock_guard lock(mutex_);
    stats_.in_use -= rounded;
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
    MemoryStats stats = stats_;
    stats.cached = small_cached_ + large_.cached();
    return stats;
  }
  void reset_peak() {
    std::lock_guard lock(mutex_);
    stats_.peak_in_use = stats_.in_use;
  }
  void release_cached() {
    std::lock_guard lock(mutex_);
    release_locked();
  }
  void fail_for_test(int64_t nth, bool permanent) {
    std::lock_guard lock(mutex_);
    fail_in_ = nth;
    fail_permanently_ = permanent;
  }

 private:
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
    ++stats_.system_allocations;
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

  void fail_if_asked(int64_t bytes) {
    if (fail_in_ <= 0) return;
    if (fail_in_ > 1) {
      --fail_in_;
      return;
    }
    if (!fail_permanently_) fail_in_ = 0;
    throw MemoryError(concat_text("memory: allocation of ", bytes, " bytes failed (injected by a test)"));
  }

  std::mutex mutex_;
  std::array<std::vector<void*>, 64> free_;
  int64_t small_cached_ = 0;
  LargeBlocks large_;
  MemoryStats stats_;  // without cached
  int64_t fail_in_ = 0;
  bool fail_permanently_ = false;
};

// Never destroyed: tensors of static lifetime may be freed after any static destructor.
CpuAllocator& cpu_allocator() {
  static auto* allocator = new CpuAllocator;
  return *allocator;
}

void check_cpu(Device device) {
  check<DeviceError>(device.is_cpu(), "device ", to_string(device),
                     ": this build has no CUDA; hint: use the device cpu, or build with -DTERN_CUDA=ON");
}

}  // namespace

void* allocate_bytes(int64_t bytes, Device device) {
  check_cpu(device);
  check<ShapeError>(bytes >= 0 && bytes <= Shape::kMaxBytes, "memory: ", bytes,
                    " bytes asked for in one block");
  return cpu_allocator().allocate(bytes);
}

void deallocate_bytes(void* data, int64_t bytes, Device) noexcept {
  if (data) cpu_allocator().deallocate(data, bytes);
}

MemoryStats memory_stats(Device device) {
  check_cpu(device);
  return cpu_allocator().stats();
}
void reset_peak_memory(Device device) {
  check_cpu(device);
  cpu_allocator().reset_peak();
}
void release_cached_memory(Device device) {
  check_cpu(device);
  cpu_allocator().release_cached();
}
void fail_allocation_for_test(int64_t nth, bool permanent) { cpu_allocator().fail_for_test(nth, permanent); }

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
