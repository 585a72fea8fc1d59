#include "tern/nn/safetensors_header.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "tern/core/crc32c.h"

namespace tern::nn {
namespace {

constexpr std::array<SafetensorsType, 20> kTypes{{
    {"F32", 32, true, DType::F32},     {"F64", 64, true, DType::F64},     {"BF16", 16, true, DType::BF16},
    {"I64", 64, true, DType::I64},     {"I32", 32, true, DType::I32},     {"U8", 8, true, DType::U8},
    {"BOOL", 8, true, DType::Bool},    {"F16", 16, false, DType::F32},    {"I8", 8, false, DType::F32},
    {"I16", 16, false, DType::F32},    {"U16", 16, false, DType::F32},    {"U32", 32, false, DType::F32},
    {"U64", 64, false, DType::F32},    {"F8_E5M2", 8, false, DType::F32}, {"F8_E4M3", 8, false, DType::F32},
    {"F8_E8M0", 8, false, DType::F32}, {"F6_E2M3", 6, false, DType::F32}, {"F6_E3M2", 6, false, DType::F32},
    {"F4", 4, false, DType::F32},      {"C64", 64, false, DType::F32},
}};

// Receives the JSON as events, so that nothing is built from it that has not been checked: a document tree
// would keep the last of two equal keys and turn -1 or 2.7 into sizes.
class HeaderHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderHandler(SafetensorsHeader& header, std::string_view file) : header_(header), file_(file) {}

  template <class... Parts>
  [[noreturn]] void reject(const Parts&... parts) const {
    throw IncompatibleError(concat_text(escaped(file_), ": ", parts...));
  }

  bool null() override {
    if (where_ == Where::Entry && key_ == "__metadata__") return true;  // MLX writes it when there is none
    return unexpected("null");
  }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override {
    return unexpected("a number that is no size");
  }
  bool binary(binary_t&) override { return unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (where_ == Where::Shape) {
      if (value > static_cast<uint64_t>(kMaxDimension))
        reject("dimension too large (", value, ") in ", label());
      if (entry_.shape.size() == Shape::kMaxRank)
        reject("more than ", Shape::kMaxRank, " dimensions in ", label());
      entry_.shape.push_back(static_cast<int64_t>(value));
      return true;
    }
    if (where_ == Where::Offsets) {
      if (value > static_cast<uint64_t>(INT64_MAX))
        reject("data offset too large (", value, ") in ", label());
      if (offsets_ == 2) reject("data_offsets must be two numbers in ", label());
      (offsets_ == 0 ? entry_.begin : entry_.end) = static_cast<int64_t>(value);
      ++offsets_;
      return true;
    }
    return unexpected("a number");
  }

  bool string(string_t& value) override {
    if (where_ == Where::Metadata) {
      header_.metadata[key_] = value;
      return true;
    }
    if (where_ == Where::Tensor && field_ == "dtype") {
      if (!find_safetensors_type(value))
        reject("unknown dtype '", escaped(value.substr(0, 32)), "' in ", label());
      entry_.dtype = value;
      return true;
    }
    return unexpected("a string");
  }

  bool start_object(std::size_t) override {
    if (where_ == Where::Start) {
      where_ = Where::Entry;
    } else if (where_ == Where::Entry && key_ == "__metadata__") {
      where_ = Where::Metadata;
    } else if (where_ == Where::Entry) {
      if (header_.entries.size() == kMaxTensors) reject("more than ", kMaxTensors, " tensors");
      where_ = Where::Tensor;
      entry_ = {key_, "", {}, 0, 0};
      seen_.clear();
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool key(string_t& value) override {
    if (where_ == Where::Metadata) {
      if (header_.metadata.contains(value))
        reject("duplicate metadata key '", escaped(value.substr(0, 64)), "'");
      key_ = value;
    } else if (where_ == Where::Entry) {
      if (const auto fault = name_fault(value); !fault.empty() && value != "__metadata__") {
        reject("tensor name ", fault, " ('", escaped(value.substr(0, 64)), "')");
      }
      if (!names_.insert(value).second) reject("duplicate name '", escaped(value), "'");
      key_ = value;
    } else {
      if (value != "dtype" && value != "shape" && value != "data_offsets") {
        reject("unknown field '", escaped(value.substr(0, 64)), "' in ", label());
      }
      if (!seen_.insert(value).second) reject("duplicate field '", value, "' in ", label());
      field_ = value;
    }
    return true;
  }

  bool end_object() override {
    if (where_ == Where::Tensor) {
      if (seen_.size() != 3) reject("dtype, shape or data_offsets is missing in ", label());
      check_entry();
      header_.entries.push_back(std::move(entry_));
      where_ = Where::Entry;
    } else {
      where_ = where_ == Where::Metadata ? Where::Entry : Where::End;
    }
    return true;
  }

  bool start_array(std::size_t) override {
    if (where_ == Where::Tensor && field_ == "shape") {
      where_ = Where::Shape;
    } else if (where_ == Where::Tensor && field_ == "data_offsets") {
      where_ = Where::Offsets;
      offsets_ = 0;
    } else {
      unexpected("an array");
    }
    return true;
  }

  bool end_array() override {
    if (where_ == Where::Offsets && offsets_ != 2) reject("data_offsets must be two numbers in ", label());
    where_ = Where::Tensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception& error) override {
    const bool utf8 = std::string_view(error.what()).find("UTF-8") != std::string_view::npos;
    reject("the header is not ", utf8 ? "valid UTF-8" : "one valid JSON object", " (at byte ", position, ")");
  }

 private:
  enum class Where { Start, Entry, Metadata, Tensor, Shape, Offsets, End };

  std::string label() const { return "tensor '" + escaped(entry_.name) + "'"; }

  bool unexpected(const char* what) const {
    switch (where_) {
      case Where::Start:
      case Where::End: reject("the header must be one JSON object, not ", what);
      case Where::Metadata:
        reject("__metadata__ must map text to text, '", escaped(key_.substr(0, 64)), "' is ", what);
      case Where::Entry: reject("the entry '", escaped(key_), "' must be an object, not ", what);
      case Where::Tensor: reject("the field ", field_, " is ", what, " in ", label());
      case Where::Shape: reject("a dimension must be an unsigned integer, not ", what, ", in ", label());
      case Where::Offsets: reject("data_offsets must be two unsigned integers, not ", what, ", in ", label());
    }
    return false;
  }

  void check_entry() const {
    int64_t bits = find_safetensors_type(entry_.dtype)->bits;
    for (const int64_t size : entry_.shape) {
      if (__builtin_mul_overflow(bits, size, &bits)) reject("the size overflows in ", label());
    }
    if (bits % 8 != 0) reject("the size is not a whole number of bytes in ", label());
    if (entry_.begin > entry_.end) reject("data_offsets are reversed in ", label());
    if (entry_.end - entry_.begin != bits / 8) {
      reject("data_offsets hold ", entry_.end - entry_.begin, " bytes, dtype and shape need ", bits / 8,
             ", in ", label());
    }
  }

  SafetensorsHeader& header_;
  std::string_view file_;
  Where where_ = Where::Start;
  std::string key_, field_;
  SafetensorsEntry entry_;
  int offsets_ = 0;
  std::set<std::string> seen_, names_;
};

// The ranges must follow each other from the first byte of the data to the last.
void check_coverage(SafetensorsHeader& header, int64_t data_bytes, const HeaderHandler& handler) {
  auto& entries = header.entries;
  std::sort(entries.begin(), entries.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  int64_t covered = 0;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.begin != covered) {
      handler.reject(entry.begin > covered ? "a hole in" : "an overlap of", " the data before tensor '",
                     escaped(entry.name), "' (it begins at ", entry.begin, ", expected ", covered, ")");
    }
    covered = entry.end;
  }
  if (covered > data_bytes)
    handler.reject("truncated: the tensors need ", covered, " bytes, there are ", data_bytes);
  if (covered < data_bytes) handler.reject(data_bytes - covered, " bytes follow the last tensor");
}

// A file with either sign of tern's writer must have both, a right header checksum and one checksum per
// tensor.
void check_signature(std::string_view text, SafetensorsHeader& header, const HeaderHandler& handler) {
  const auto& metadata = header.metadata;
  const auto writer = metadata.find(std::string(kWriterKey));
  const auto stored = metadata.find(std::string(kHeaderChecksumKey));
  if (writer == metadata.end() && stored == metadata.end()) return;
  constexpr std::string_view kHint =
      "; hint: a tool that rewrites the file must drop the metadata keys that begin with tern.";
  if (!text.starts_with(kHeaderChecksumPrefix) || stored == metadata.end() ||
      stored->second != to_hex(header_checksum(text))) {
    handler.reject("the checksum of the header is wrong: the file is damaged", kHint);
  }
  if (writer == metadata.end() || writer->second != kWriterValue) {
    handler.reject("written by another version of tern", kHint);
  }
  for (const SafetensorsEntry& entry : header.entries) {
    if (!metadata.contains(std::string(kTensorChecksumPrefix) + entry.name)) {
      handler.reject("no checksum for tensor '", escaped(entry.name), "'", kHint);
    }
  }
  header.checksummed = true;
}

}  // namespace

const SafetensorsType* find_safetensors_type(std::string_view name) {
  const auto found =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& type) { return type.name == name; });
  return found == kTypes.end() ? nullptr : &*found;
}

std::string_view safetensors_type_name(DType dtype) {
  for (const SafetensorsType& type : kTypes) {
    if (type.supported && type.dtype == dtype) return type.name;
  }
  throw InternalError("safetensors: no name for this dtype");
}

std::string_view name_fault(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > kMaxNameBytes) return "is longer than 512 bytes";
  if (name == "__metadata__") return "is reserved";
  const auto control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  return std::any_of(name.begin(), name.end(), control) ? "has control characters" : "";
}

uint32_t header_checksum(std::string_view text) {
  uint8_t length[8];
  for (int i = 0; i < 8; ++i) length[i] = static_cast<uint8_t>(text.size() >> (8 * i));
  const size_t digits = std::min(kHeaderChecksumPrefix.size(), text.size());
  uint32_t crc = crc32c(length, 8);
  crc = crc32c(text.substr(0, digits), crc);
  crc = crc32c(std::string_view("00000000"), crc);
  return crc32c(text.substr(std::min(digits + 8, text.size())), crc);
}

SafetensorsHeader parse_safetensors_header(std::string_view text, int64_t data_bytes, std::string_view file) {
  SafetensorsHeader header;
  HeaderHandler handler(header, file);
  // The JSON reader skips a byte order mark and stops at a zero byte; neither may hide anything here.
  const size_t start = text.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos || text[start] != '{')
    handler.reject("the header must be one JSON object");
  if (const size_t zero = text.find('\0'); zero != std::string_view::npos) {
    handler.reject("the header is not one valid JSON object (zero byte at ", zero, ")");
  }
  nlohmann::json::sax_parse(text.begin(), text.end(), &handler);
  check_coverage(header, data_bytes, handler);
  check_signature(text, header, handler);
  return header;
}

}  // namespace tern::nn
