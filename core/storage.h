#pragma once
// A range of bytes on one device, with a version that counts its changes.
//
// Everything that keeps something computed from the bytes (a saved tensor, a packed weight) remembers the
// version it saw and so knows when it is stale.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <typeindex>
#include <vector>

#include "tern/core/device.h"
#include "tern/core/ref.h"

namespace tern {

class Storage final : public RefCounted {
 public:
  // Uninitialised bytes from the caching allocator, aligned to 64. Throws MemoryError before touching memory
  // that is not there.
  static Ref<Storage> allocate(int64_t bytes, Device device = kCpu);
  // A range inside another storage (an arena); keeps the owner alive, counts its own version.
  static Ref<Storage> inside(Ref<Storage> owner, int64_t byte_offset, int64_t bytes);
  ~Storage() override;

  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  Device device() const { return device_; }

  uint64_t version() const { return version_.load(std::memory_order_acquire); }
  void bump_version() { version_.fetch_add(1, std::memory_order_acq_rel); }

  // Moves the bytes into a range of owner, perhaps on another device, under the same handle: all tensors of
  // this storage follow.
  void rehome(Ref<Storage> owner, int64_t byte_offset);

 private:
  template <class T>
  friend class Derived;
  // What Derived<T> keeps here. Made with the first: few storages have any.
  struct Attachment {
    std::type_index type;
    int64_t key;
    uint64_t version;
    std::shared_ptr<const void> value;
  };
  struct Attachments {
    std::mutex mutex;
    std::vector<Attachment> list;
  };
  Attachments& attachments();

  Storage(void* data, int64_t bytes, Device device, Ref<Storage> owner);

  void* data_;
  int64_t bytes_;
  Device device_;
  Ref<Storage> owner_;  // set for ranges inside an arena
  std::atomic<uint64_t> version_{0};
  std::atomic<Attachments*> attachments_{nullptr};  // owned
};

}  // namespace tern
