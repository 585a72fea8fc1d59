#include "tern/nn/safetensors.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "tern/core/crc32c.h"
#include "tern/core/fs.h"
#include "tern/core/sha256.h"
#include "tern/nn/safetensors_header.h"

namespace tern::nn {
namespace {

// Bytes from a file or from memory, front to back.
struct Source {
  std::string_view name;
  int64_t size;
  std::function<int64_t(void*, int64_t)> read;

  template <class... Parts>
  void require(bool cond, const Parts&... parts) const {
    check<IncompatibleError>(cond, escaped(name), ": ", parts...);
  }
  void fill(void* data, int64_t bytes) {
    require(read(data, bytes) == bytes, "truncated while it was being read");
  }
};

SafetensorsHeader read_header(Source& source) {
  source.require(source.size >= 8, "truncated: ", source.size, " bytes, a header length takes 8");
  uint8_t length[8];
  source.fill(length, 8);
  uint64_t bytes = 0;
  for (int i = 7; i >= 0; --i) bytes = bytes << 8 | length[i];
  source.require(bytes <= static_cast<uint64_t>(kMaxHeaderBytes),
                 "not a safetensors file, or damaged: a header of ", bytes, " bytes, at most ",
                 kMaxHeaderBytes, " are allowed");
  const auto header_bytes = static_cast<int64_t>(bytes);
  source.require(header_bytes <= source.size - 8, "truncated: a header of ", bytes, " bytes in a file of ",
                 source.size);
  std::string text(static_cast<size_t>(header_bytes), '\0');
  source.fill(text.data(), header_bytes);
  return parse_safetensors_header(text, source.size - 8 - header_bytes, source.name);
}

Shape shape_of(const SafetensorsEntry& entry, const Source& source) {
  try {
    return Shape(std::span<const int64_t>(entry.shape));
  } catch (const ShapeError&) {
    source.require(false, "tensor '", escaped(entry.name), "' is larger than tern allows");
    throw;
  }
}

bool all_finite(const Tensor& tensor) {
  const auto finite = [](const auto* values, int64_t n) {
    return std::all_of(values, values + n, [](auto v) { return std::isfinite(static_cast<double>(v)); });
  };
  const int64_t n = tensor.numel();
  if (tensor.dtype() == DType::F32) return finite(tensor.data<float>(), n);
  if (tensor.dtype() == DType::F64) return finite(tensor.data<double>(), n);
  if (tensor.dtype() != DType::BF16) return true;
  const bfloat16* values = tensor.data<bfloat16>();
  return std::all_of(values, values + n, [](bfloat16 v) { return std::isfinite(static_cast<float>(v)); });
}

void check_values(const Tensor& tensor, const std::string& name, const Source& source,
                  LoadTensorsOptions options) {
  if (tensor.dtype() == DType::Bool) {
    const auto* bytes = static_cast<const uint8_t*>(tensor.raw_data());
    source.require(std::all_of(bytes, bytes + tensor.numel(), [](uint8_t b) { return b <= 1; }), "tensor '",
                   escaped(name), "' is boolean but has values other than 0 and 1");
  }
  source.require(!options.check_finite || all_finite(tensor), "tensor '", escaped(name),
                 "' has values that are not finite");
}

bool is_checksum_key(std::string_view key) {
  return key.starts_with(kTensorChecksumPrefix) || key == kHeaderChecksumKey || key == kWriterKey;
}

SafetensorsFile load(Source& source, LoadTensorsOptions options) {
  SafetensorsHeader header = read_header(source);
  for (const SafetensorsEntry& entry : header.entries) {
    source.require(find_safetensors_type(entry.dtype)->supported, "tensor '", escaped(entry.name),
                   "' has dtype ", entry.dtype,
                   ", which tern does not have; hint: convert it to F32 in Python");
  }
  SafetensorsFile file;
  file.checksummed = header.checksummed;
  for (const SafetensorsEntry& entry : header.entries) {
    const DType dtype = find_safetensors_type(entry.dtype)->dtype;
    Tensor tensor = Tensor::empty(shape_of(entry, source), {.dtype = dtype});
    source.fill(tensor.raw_data(), tensor.bytes());
    if (header.checksummed) {
      const std::string& stored = header.metadata.at(std::string(kTensorChecksumPrefix) + entry.name);
      source.require(stored == to_hex(crc32c(tensor.raw_data(), static_cast<size_t>(tensor.bytes()))),
                     "tensor '", escaped(entry.name), "' is damaged: its checksum does not match");
    }
    check_values(tensor, entry.name, source, options);
    file.tensors.emplace(entry.name, std::move(tensor));
  }
  for (auto& [key, value] : header.metadata) {
    if (!is_checksum_key(key)) file.metadata.emplace(key, std::move(value));
  }
  return file;
}

Source file_source(FileReader& reader, std::string_view path) {
  return {path, reader.size(), [&reader](void* data, int64_t bytes) { return reader.read(data, bytes); }};
}

std::string quoted(const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    throw UsageError("save_safetensors: '" + escaped(text) + "' is not UTF-8");
  }
}

// Descending alignment, then name: every tensor lies aligned without padding between them.
std::vector<const TensorMap::value_type*> file_order(const TensorMap& tensors) {
  std::vector<const TensorMap::value_type*> order;
  for (const auto& item : tensors) order.push_back(&item);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return size_of(a->second.dtype()) > size_of(b->second.dtype());
  });
  return order;
}

void check_writable(const TensorMap& tensors, const Metadata& metadata) {
  check(tensors.size() <= kMaxTensors, "save_safetensors: ", tensors.size(), " tensors, at most ",
        kMaxTensors);
  for (const auto& [name, tensor] : tensors) {
    const std::string_view fault = name_fault(name);
    check(fault.empty(), "save_safetensors: the name '", escaped(name.substr(0, 64)), "' ", fault);
    check(tensor.defined(), "save_safetensors: tensor '", escaped(name), "' is undefined");
    check<DeviceError>(tensor.device().is_cpu(), "save_safetensors: tensor '", escaped(name), "' is on ",
                       tensor.device(), "; hint: x.to(kCpu)");
  }
  for (const auto& [key, value] : metadata) {
    check(!is_checksum_key(key), "save_safetensors: the metadata key '", escaped(key), "' is reserved");
  }
}

// Length field, JSON with all checksums, padding.
std::string header_bytes(const TensorMap& tensors, Metadata metadata) {
  check_writable(tensors, metadata);
  metadata.emplace("format", "pt");
  metadata.emplace(kWriterKey, kWriterValue);
  std::string entries;
  int64_t offset = 0;
  for (const auto* item : file_order(tensors)) {
    const auto& [name, tensor] = *item;
    metadata.emplace(std::string(kTensorChecksumPrefix) + name,
                     to_hex(crc32c(tensor.raw_data(), static_cast<size_t>(tensor.bytes()))));
    std::string shape;
    for (const int64_t size : tensor.shape()) shape += concat_text(shape.empty() ? "" : ",", size);
    const int64_t end = checked::add(offset, tensor.bytes());
    entries += concat_text(",", quoted(name), ":{\"dtype\":\"", safetensors_type_name(tensor.dtype()),
                           "\",\"shape\":[", shape, "],\"data_offsets\":[", offset, ",", end, "]}");
    offset = end;
  }
  std::string text = std::string(kHeaderChecksumPrefix) + "00000000\"";
  for (const auto& [key, value] : metadata) text += concat_text(",", quoted(key), ":", quoted(value));
  text += concat_text("}", entries, "}");
  text.resize((text.size() + 7) / 8 * 8, ' ');
  check(static_cast<int64_t>(text.size()) <= kMaxHeaderBytes, "save_safetensors: the header would have ",
        text.size(), " bytes, at most ", kMaxHeaderBytes);
  text.replace(kHeaderChecksumPrefix.size(), 8, to_hex(header_checksum(text)));
  std::string length(8, '\0');
  for (int i = 0; i < 8; ++i) length[i] = static_cast<char>(text.size() >> (8 * i));
  return length + text;
}

}  // namespace

SafetensorsFile load_safetensors(const std::string& path, LoadTensorsOptions options) {
  FileReader reader(path);
  Source source = file_source(reader, path);
  return load(source, options);
}

SafetensorsHeader read_safetensors_header(const std::string& path) {
  FileReader reader(path);
  Source source = file_source(reader, path);
  return read_header(source);
}

SafetensorsFile parse_safetensors(std::string_view bytes, std::string_view name, LoadTensorsOptions options) {
  Source source{name, static_cast<int64_t>(bytes.size()), [rest = bytes](void* data, int64_t wanted) mutable {
                  const size_t n = rest.copy(static_cast<char*>(data), static_cast<size_t>(wanted));
                  rest.remove_prefix(n);
                  return static_cast<int64_t>(n);
                }};
  return load(source, options);
}

void save_safetensors(const std::string& path, const TensorMap& tensors, const Metadata& metadata) {
  const std::string header = header_bytes(tensors, metadata);
  AtomicFile file(path);
  file.write(header);
  for (const auto* item : file_order(tensors)) {
    file.write(item->second.raw_data(), static_cast<size_t>(item->second.bytes()));
  }
  file.commit();
}

std::string safetensors_bytes(const TensorMap& tensors, const Metadata& metadata) {
  std::string bytes = header_bytes(tensors, metadata);
  for (const auto* item : file_order(tensors)) {
    bytes.append(static_cast<const char*>(item->second.raw_data()),
                 static_cast<size_t>(item->second.bytes()));
  }
  return bytes;
}

std::string tensors_hash(const TensorMap& tensors) {
  Sha256 hash;
  for (const auto& [name, tensor] : tensors) {
    const std::string label =
        concat_text(name.size(), " ", name, " ", tensor.dtype(), " ", tensor.shape(), " ");
    hash.update(label);
    hash.update(tensor.raw_data(), static_cast<size_t>(tensor.bytes()));
  }
  return hash.hex();
}

}  // namespace tern::nn
