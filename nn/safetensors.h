#pragma once
// Tensors in a file: the safetensors format, so that Python loads what tern trained and the other way round.
//
//   u64 little-endian N | N bytes of JSON, padded with spaces | the tensors' bytes, C order, little-endian
//   {"__metadata__": {text: text},
//    "conv1.weight": {"dtype": "F32", "shape": [8,3,3,3], "data_offsets": [0, 864]}, ...}
//
// A file is hostile until proven otherwise. The header is checked whole before anything is allocated for a
// tensor: lengths against the file, strict JSON (no duplicate names, no fraction or negative number read as a
// size), products without overflow, and data ranges that cover the buffer exactly, without hole or overlap.
// The reader copies, it never maps the file, so a file that changes meanwhile gives an error and no crash.
//
// Files written here also carry checksums in __metadata__, where other readers ignore them: a CRC-32C of each
// tensor
// ("tern.crc32c.NAME") and one of the header itself ("tern.header_crc32c", computed with its own eight digits
// as zeros, the length field included). A flipped bit anywhere is found. Files without checksums are read all
// the same. Source: the format's description and reference reader, github.com/huggingface/safetensors.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tern/core/tensor.h"

namespace tern::nn {

using TensorMap = std::map<std::string, Tensor>;
using Metadata = std::map<std::string, std::string>;

// One tensor as its header describes it. dtype is the format's name ("F32"), which tern may not be able to
// hold.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  int64_t begin = 0;  // bytes from the start of the data
  int64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // in the order of their bytes
  Metadata metadata;                      // as found, checksums included
  bool checksummed = false;               // written by tern: header verified, every tensor has a checksum
};

struct SafetensorsFile {
  TensorMap tensors;
  Metadata metadata;         // without tern's checksums
  bool checksummed = false;  // tern wrote it, and every checksum was right
};

struct LoadTensorsOptions {
  bool check_finite = false;  // refuse NaN and infinity
};

// Errors: IoError if the file cannot be read, IncompatibleError naming file and reason if it is damaged,
// malformed or holds a dtype that tern does not have, MemoryError if its tensors do not fit.
SafetensorsFile load_safetensors(const std::string& path, LoadTensorsOptions options = {});
SafetensorsHeader read_safetensors_header(const std::string& path);  // the data is not read
// The same from memory; name stands in error texts.
SafetensorsFile parse_safetensors(std::string_view bytes, std::string_view name,
                                  LoadTensorsOptions options = {});

// Replaces the file in one step (core/fs.h). Tensors are written in the order of descending alignment, then
// name; the same tensors and metadata give the same bytes. Names: 1 to 512 bytes of UTF-8 without control
// characters, not
// "__metadata__"; metadata keys must not start with "tern.crc32c" or "tern.header". Adds format = "pt".
// Errors: UsageError for a name or tensor that cannot be stored, IoError for what the operating system
// refuses.
void save_safetensors(const std::string& path, const TensorMap& tensors, const Metadata& metadata = {});
std::string safetensors_bytes(const TensorMap& tensors, const Metadata& metadata = {});

// SHA-256 over names, dtypes, shapes and bytes: the name of a set of weights, whatever file it lies in.
std::string tensors_hash(const TensorMap& tensors);

}  // namespace tern::nn
