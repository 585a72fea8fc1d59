// The one EXIF field that changes pixels: orientation. Source: TIFF 6.0, section 2; EXIF 2.32, 4.6.4 (tag
// 0x0112).

#include <cstring>

#include "tern/data/image_codecs.h"

namespace tern::codec {

namespace {

constexpr uint16_t kOrientationTag = 0x0112;
constexpr uint16_t kShort = 3;

// Reads from a block in its byte order; every read says whether it was inside.
class Cursor {
 public:
  Cursor(Bytes block, bool big_endian) : block_(block), big_endian_(big_endian) {}

  bool u16(size_t offset, uint16_t& value) const {
    if (offset > block_.size() || block_.size() - offset < 2) return false;
    const uint8_t* p = block_.data() + offset;
    value = static_cast<uint16_t>(big_endian_ ? p[0] << 8 | p[1] : p[1] << 8 | p[0]);
    return true;
  }
  bool u32(size_t offset, uint32_t& value) const {
    uint16_t first, second;
    if (!u16(offset, first) || !u16(offset + 2, second)) return false;
    value = big_endian_ ? uint32_t{first} << 16 | second : uint32_t{second} << 16 | first;
    return true;
  }

 private:
  Bytes block_;
  bool big_endian_;
};

}  // namespace

int tiff_orientation(Bytes tiff) {
  if (tiff.size() < 8) return 1;
  const bool big_endian = tiff[0] == 'M' && tiff[1] == 'M';
  if (!big_endian && !(tiff[0] == 'I' && tiff[1] == 'I')) return 1;
  const Cursor cursor(tiff, big_endian);
  uint16_t magic = 0, entries = 0;
  uint32_t directory = 0;
  if (!cursor.u16(2, magic) || magic != 42) return 1;
  if (!cursor.u32(4, directory) || !cursor.u16(directory, entries)) return 1;
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = size_t{directory} + 2 + 12 * i;
    uint16_t tag = 0, type = 0, value = 0;
    uint32_t count = 0;
    if (!cursor.u16(entry, tag) || !cursor.u16(entry + 2, type) || !cursor.u32(entry + 4, count) ||
        !cursor.u16(entry + 8, value))
      return 1;
    if (tag == kOrientationTag) return type == kShort && count == 1 && value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

int exif_orientation(Bytes app1) {
  constexpr char kPrefix[6] = {'E', 'x', 'i', 'f', 0, 0};
  if (app1.size() < sizeof kPrefix || std::memcmp(app1.data(), kPrefix, sizeof kPrefix) != 0) return 0;
  return tiff_orientation(app1.subspan(sizeof kPrefix));
}

}  // namespace tern::codec
