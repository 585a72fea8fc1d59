#pragma once
// Working memory of one call, from the caching allocator: in a steady training step it costs no system
// allocation.

#include <cstdint>

#include "tern/core/allocator.h"

namespace tern::cpu {

template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t count)
      : bytes_(count * static_cast<int64_t>(sizeof(T))),
        data_(static_cast<T*>(allocate_bytes(bytes_, kCpu))) {}
  ~Scratch() { deallocate_bytes(data_, bytes_, kCpu); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  T* data() const { return data_; }
  T& operator[](int64_t i) const { return data_[i]; }

 private:
  int64_t bytes_;
  T* data_;
};

}  // namespace tern::cpu
