#pragma once
// Groups of lanes along a row of channels: whole vectors, then what is left over at its end.

#include "tern/cpu/vec.h"

namespace tern::cpu::TERN_ISA {

struct WholeLanes {
  template <class T>
  TERN_INLINE Vec<float> load(const T* p) const {
    return Vec<float>::load(p);
  }
  TERN_INLINE Vec<int32_t> load(const int32_t* p) const { return Vec<int32_t>::load(p); }
  template <class T>
  TERN_INLINE void store(Vec<float> v, T* p) const {
    v.store(p);
  }
  TERN_INLINE void store(Vec<int32_t> v, int32_t* p) const { v.store(p); }
};

struct PartialLanes {
  int64_t n;
  template <class T>
  TERN_INLINE Vec<float> load(const T* p) const {
    return Vec<float>::load_partial(p, n);
  }
  TERN_INLINE Vec<int32_t> load(const int32_t* p) const { return Vec<int32_t>::load_partial(p, n); }
  template <class T>
  TERN_INLINE void store(Vec<float> v, T* p) const {
    v.store_partial(p, n);
  }
  TERN_INLINE void store(Vec<int32_t> v, int32_t* p) const { v.store_partial(p, n); }
};

// body(channel, lanes) over the channels of a row, one vector at a time.
template <class Body>
TERN_INLINE void over_channels(int64_t channels, const Body& body) {
  constexpr int kLanes = Vec<float>::kLanes;
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) body(c, WholeLanes{});
  if (c < channels) body(c, PartialLanes{channels - c});
}

}  // namespace tern::cpu::TERN_ISA
