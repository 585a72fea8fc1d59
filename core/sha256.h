#pragma once
// SHA-256, the name of a set of weights: a gallery or a training state carries the hash of the model it
// belongs to, so a mix-up is refused. Source: FIPS 180-4.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tern {

class Sha256 {
 public:
  void update(const void* data, size_t bytes);
  void update(std::string_view bytes) { update(bytes.data(), bytes.size()); }
  // The digest as 64 lower-case hexadecimal digits. Ends the hash: a further update() needs a new object.
  std::string hex();

 private:
  void block(const uint8_t* p);
  std::array<uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> pending_{};
  size_t pending_bytes_ = 0;
  uint64_t total_bytes_ = 0;
};

inline std::string sha256_hex(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

}  // namespace tern
