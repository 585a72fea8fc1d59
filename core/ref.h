#pragma once
// Intrusive reference counting: a handle is one pointer, an object one allocation.

#include <atomic>
#include <cstdint>
#include <utility>

#include "tern/core/small_blocks.h"

namespace tern {

class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;
  virtual ~RefCounted() = default;
  static void* operator new(size_t bytes) { return allocate_small(bytes); }
  static void operator delete(void* object, size_t bytes) noexcept { deallocate_small(object, bytes); }

  // The first reference and the last are nobody else's: they need no atomic addition, which costs as much as
  // the rest of a handle.
  void retain() const {
    if (refs_.load(std::memory_order_relaxed) == 0) refs_.store(1, std::memory_order_relaxed);
    else refs_.fetch_add(1, std::memory_order_relaxed);
  }
  void release() const {
    if (refs_.load(std::memory_order_acquire) == 1 || refs_.fetch_sub(1, std::memory_order_acq_rel) == 1)
      const_cast<RefCounted*>(this)->dispose();
  }
  int64_t use_count() const { return refs_.load(std::memory_order_acquire); }

 protected:
  // What happens when the last reference goes. Graph nodes override it: they must not recurse.
  virtual void dispose() { delete this; }

 private:
  mutable std::atomic<int64_t> refs_{0};
};

template <class T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* object) : object_(object) {
    if (object_) object_->retain();
  }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <class U>
  Ref(const Ref<U>& other) : Ref(static_cast<T*>(other.get())) {}
  ~Ref() {
    if (object_) object_->release();
  }
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }

  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  void reset() { Ref().swap(*this); }
  void swap(Ref& other) noexcept { std::swap(object_, other.object_); }
  friend bool operator==(const Ref& a, const Ref& b) { return a.object_ == b.object_; }

 private:
  T* object_ = nullptr;
};

template <class T, class... Args>
Ref<T> make_ref(Args&&... args) {
  return Ref<T>(new T(std::forward<Args>(args)...));
}

}  // namespace tern
