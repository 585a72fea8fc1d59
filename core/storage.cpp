#include "tern/core/storage.h"

#include "tern/core/allocator.h"
#include "tern/core/error.h"

namespace tern {

Storage::Storage(void* data, int64_t bytes, Device device, Ref<Storage> owner)
    : data_(data), bytes_(bytes), device_(device), owner_(std::move(owner)) {}

Ref<Storage> Storage::allocate(int64_t bytes, Device device) {
  void* data = allocate_bytes(bytes, device);
  try {
    return Ref<Storage>(new Storage(data, bytes, device, {}));
  } catch (...) {
    deallocate_bytes(data, bytes, device);
    throw;
  }
}

Ref<Storage> Storage::inside(Ref<Storage> owner, int64_t byte_offset, int64_t bytes) {
  check<ShapeError>(byte_offset >= 0 && bytes >= 0 && byte_offset + bytes <= owner->bytes(),
                    "storage: range ", byte_offset, " + ", bytes, " is outside of ", owner->bytes(),
                    " bytes");
  auto* data = static_cast<char*>(owner->data()) + byte_offset;
  const Device device = owner->device();
  return Ref<Storage>(new Storage(data, bytes, device, std::move(owner)));
}

Storage::Attachments& Storage::attachments() {
  Attachments* present = attachments_.load(std::memory_order_acquire);
  if (present) return *present;
  auto made = std::make_unique<Attachments>();
  if (attachments_.compare_exchange_strong(present, made.get())) return *made.release();
  return *present;
}

Storage::~Storage() {
  delete attachments_.load(std::memory_order_acquire);
  if (!owner_) deallocate_bytes(data_, bytes_, device_);
}

void Storage::rehome(Ref<Storage> owner, int64_t byte_offset) {
  check<ShapeError>(byte_offset >= 0 && byte_offset + bytes_ <= owner->bytes(), "storage: range ",
                    byte_offset, " + ", bytes_, " is outside of ", owner->bytes(), " bytes");
  auto* target = static_cast<char*>(owner->data()) + byte_offset;
  copy_bytes(target, owner->device(), data_, device_, bytes_);
  if (!owner_) deallocate_bytes(data_, bytes_, device_);
  data_ = target;
  if (device_ != owner->device()) bump_version();
  device_ = owner->device();
  owner_ = std::move(owner);
}

}  // namespace tern
