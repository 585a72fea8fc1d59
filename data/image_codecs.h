#pragma once
// What the parts of the image reader share. Private to data/.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "tern/data/image.h"

namespace tern::codec {

using Bytes = std::span<const uint8_t>;

struct Source {
  Bytes bytes;
  std::string_view name;  // for error texts, not yet escaped
  const DecodeOptions& options;
};

// "photo.jpg: " with the name made safe to print, the beginning of every error text.
std::string subject(const Source& source);

// Throws DataError or MemoryError unless width x height and the memory for decoding are within the limits.
// Called on the header's values, before anything is allocated. working_bytes: what the decoder needs beside
// the pixels.
void check_size(const Source& source, int64_t width, int64_t height, int64_t pixel_bytes,
                int64_t working_bytes);

Image decode_jpeg(const Source& source);
Image decode_png(const Source& source);
Image decode_pnm(const Source& source);

// The orientation (1 .. 8) that a TIFF block ("II*\0..." or "MM\0*...") states in its first directory; 1 when
// it states none or is damaged. Every read is bounds-checked.
int tiff_orientation(Bytes tiff);
// The same for the payload of a JPEG APP1 segment, which begins with "Exif\0\0"; 0 if the segment is not
// EXIF.
int exif_orientation(Bytes app1);

}  // namespace tern::codec
