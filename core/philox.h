#pragma once
// Philox4x32-10, a counter-based random generator: block = f(key, counter), no state. Keyed by the seed, with
// the counter (stream, step, index) every draw of a training run has an address: it does not depend on
// threads, workers, or on what was drawn before, and a resumed run needs only its step number. Source:
// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

#include <array>
#include <cstdint>

#include "tern/core/macros.h"

namespace tern {

// One address space per purpose, so that two uses of one seed never share numbers.
enum class RandomStream : uint32_t {
  Init,
  Shuffle,
  Augment,
  Dropout,
  Mining,
  Synthetic,
  Split,
  Bootstrap,
  Test
};

struct PhiloxBlock {
  uint32_t value[4];
};

HD PhiloxBlock philox4x32_10(PhiloxBlock counter, uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * counter.value[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * counter.value[2];
    counter = {{static_cast<uint32_t>(p1 >> 32) ^ counter.value[1] ^ key0, static_cast<uint32_t>(p1),
                static_cast<uint32_t>(p0 >> 32) ^ counter.value[3] ^ key1, static_cast<uint32_t>(p0)}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

struct Philox {
  uint64_t seed = 0;
  RandomStream stream = RandomStream::Init;

  // Four 32-bit words for (step, index); step < 2^60 in practice, index any 32-bit number of blocks.
  HD PhiloxBlock block(uint64_t step, uint32_t index) const {
    return philox4x32_10({{index, static_cast<uint32_t>(stream), static_cast<uint32_t>(step),
                           static_cast<uint32_t>(step >> 32)}},
                         static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
  }
};

// [0, 1) with 24 bits: exact in f32.
HD float uniform01(uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }
// 0 .. n-1 by multiply and shift: bias below n / 2^32.
HD uint32_t uniform_below(uint32_t bits, uint32_t n) {
  return static_cast<uint32_t>((static_cast<uint64_t>(bits) * n) >> 32);
}
// Two standard normal numbers from two words (Box-Muller, in double; host only).
std::array<double, 2> normal_pair(uint32_t bits0, uint32_t bits1);

// A sequence of draws at one address (stream, step), for host code that needs "the next number".
class PhiloxSequence {
 public:
  PhiloxSequence(uint64_t seed, RandomStream stream, uint64_t step) : philox_{seed, stream}, step_(step) {}
  uint32_t next() {
    if (used_ == 4) {
      block_ = philox_.block(step_, index_++);
      used_ = 0;
    }
    return block_.value[used_++];
  }
  float uniform() { return uniform01(next()); }  // [0, 1)
  float uniform(float low, float high) { return low + (high - low) * uniform(); }
  uint32_t below(uint32_t n) { return uniform_below(next(), n); }  // 0 .. n-1
  double normal();                                                 // mean 0, deviation 1

 private:
  Philox philox_;
  uint64_t step_;
  uint32_t index_ = 0;
  int used_ = 4;
  PhiloxBlock block_{};
  bool has_spare_ = false;
  double spare_ = 0;
};

}  // namespace tern
