#pragma once
// CRC-32C (Castagnoli), the checksum of safetensors weights written by tern and of TensorBoard records.
// Reflected polynomial 0x82F63B78, start and end inverted: crc32c("123456789") == 0xE3069283.
// Source: RFC 3720, appendix B.4; eight bytes at a time after Kounavis and Berry, "Novel table lookup-based
// algorithms for high-performance CRC generation", 2008.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tern {

// Continues from the CRC of what came before: crc32c(b, crc32c(a)) == crc32c(a followed by b).
uint32_t crc32c(const void* data, size_t bytes, uint32_t crc = 0);
inline uint32_t crc32c(std::string_view bytes, uint32_t crc = 0) {
  return crc32c(bytes.data(), bytes.size(), crc);
}

// Eight lower-case hexadecimal digits, as stored in files.
std::string to_hex(uint32_t crc);

}  // namespace tern
