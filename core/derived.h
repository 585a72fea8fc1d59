#pragma once
// The one mechanism for second forms of a weight: packed panels, bf16 copies, Winograd transforms, folded
// batch norm.
//
// A derived value hangs on the Storage it was made from, tagged with the version it saw; it is remade when
// the storage has changed since, and dies with it. Safe from many threads; a value in use stays alive until
// released.
//
//   auto panels = Derived<PackedPanels>::of(weight.storage(), key, [&] { return pack(weight); });

#include <memory>
#include <utility>

#include "tern/core/storage.h"

namespace tern {

template <class T>
class Derived {
 public:
  // key tells apart several derived values of one type (for example forward and backward packing). others:
  // the sum of the versions of other storages it is made from.
  template <class Make>
  static std::shared_ptr<const T> of(Storage& storage, int64_t key, Make&& make, uint64_t others = 0) {
    const std::type_index type(typeid(T));
    Storage::Attachments& kept = storage.attachments();
    std::lock_guard lock(kept.mutex);
    const uint64_t version = storage.version() + others;
    for (auto& a : kept.list) {
      if (a.type != type || a.key != key) continue;
      if (a.version != version) {
        a.value = std::make_shared<const T>(make());
        a.version = version;
      }
      return std::static_pointer_cast<const T>(a.value);
    }
    auto value = std::make_shared<const T>(make());
    kept.list.push_back({type, key, version, value});
    return value;
  }
};

}  // namespace tern
