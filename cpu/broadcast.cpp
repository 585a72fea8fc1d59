#include "tern/ops/broadcast.h"

#include "tern/core/parallel.h"
#include "tern/cpu/reference/pointwise.h"

namespace tern::cpu {
namespace {

template <class T>
void copy_as(const BroadcastGeometry& g, const void* from, void* to) {
  const T* x = static_cast<const T*>(from);
  T* y = static_cast<T*>(to);
  parallel_for(g.shape.numel(), 16384, [&](int64_t begin, int64_t end) {
    reference::for_each_broadcast(g, begin, end, [&](int64_t i, int64_t a, int64_t) { y[i] = x[a]; });
  });
}

}  // namespace

void broadcast_copy(const BroadcastGeometry& geometry, const Tensor& x, const Tensor& y) {
  switch (size_of(x.dtype())) {
    case 1: return copy_as<uint8_t>(geometry, x.raw_data(), y.raw_data());
    case 2: return copy_as<uint16_t>(geometry, x.raw_data(), y.raw_data());
    case 4: return copy_as<uint32_t>(geometry, x.raw_data(), y.raw_data());
    default: return copy_as<uint64_t>(geometry, x.raw_data(), y.raw_data());
  }
}

}  // namespace tern::cpu
