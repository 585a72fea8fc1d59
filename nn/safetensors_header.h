#pragma once
// The grammar of a safetensors header and the proof that it is sound; private to nn/safetensors.cpp and its
// tests.

#include <cstdint>
#include <string>
#include <string_view>

#include "tern/nn/safetensors.h"

namespace tern::nn {

inline constexpr int64_t kMaxHeaderBytes = 100'000'000;
inline constexpr size_t kMaxTensors = 100'000;
inline constexpr size_t kMaxNameBytes = 512;
inline constexpr int64_t kMaxDimension = (int64_t{1} << 48) - 1;

// The header starts with exactly this, eight hexadecimal digits and a quote when tern wrote it.
inline constexpr std::string_view kHeaderChecksumPrefix = R"({"__metadata__":{"tern.header_crc32c":")";
inline constexpr std::string_view kHeaderChecksumKey = "tern.header_crc32c";
inline constexpr std::string_view kTensorChecksumPrefix = "tern.crc32c.";
inline constexpr std::string_view kWriterKey = "tern.format";  // the second sign that tern wrote the file
inline constexpr std::string_view kWriterValue = "1";

struct SafetensorsType {
  std::string_view name;
  int bits;
  bool supported;  // tern has it
  DType dtype;
};
const SafetensorsType* find_safetensors_type(std::string_view name);
std::string_view safetensors_type_name(DType dtype);

// Throws IncompatibleError("FILE: reason") unless text is a sound header of a file with data_bytes of data.
SafetensorsHeader parse_safetensors_header(std::string_view text, int64_t data_bytes, std::string_view file);

// CRC-32C of length field and text, the eight digits of the checksum itself taken as zeros.
uint32_t header_checksum(std::string_view text);

// Empty if name may stand in a file, else what is wrong with it.
std::string_view name_fault(std::string_view name);

}  // namespace tern::nn
