#pragma once
// Photos: reading, writing and reshaping images of 8-bit samples.
//
// Reading tells the type from the first bytes, never from the file's name: JPEG (baseline, progressive,
// arithmetic; grey, colour, CMYK, YCCK), PNG (every kind) and PGM/PPM (P2 P3 P5 P6, maxval up to 65535). What
// comes out is always grey (1 channel) or RGB (3 channels), upright: EXIF orientations 1 to 8 are applied. As
// Pillow's convert("RGB") does, alpha and transparency are dropped (not composited), CMYK follows Adobe's
// inverted convention, gamma and colour profiles are ignored; 16-bit samples are rounded to 8.
//
// Files are untrusted. Every limit is checked on the header before a pixel is decoded, and damaged data, also
// where the decoder would only warn and fill in grey, is a DataError that names the file.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tern {

// pixels[(y * width + x) * channels + c]; channels is 1 (grey) or 3 (RGB).
struct Image {
  int width = 0;
  int height = 0;
  int channels = 0;
  std::vector<uint8_t> pixels;

  const uint8_t* row(int y) const { return pixels.data() + size_t(y) * width * channels; }
  uint8_t* row(int y) { return pixels.data() + size_t(y) * width * channels; }
  uint8_t at(int y, int x, int c = 0) const { return row(y)[x * channels + c]; }
  friend bool operator==(const Image&, const Image&) = default;
};

Image make_image(int width, int height, int channels, uint8_t value = 0);

struct DecodeOptions {
  int64_t max_file_bytes = 32 << 20;
  int max_side = 16384;
  int64_t max_pixels = 64'000'000;
  int64_t max_memory_bytes = 256 << 20;  // the pixels plus the coefficients a multi-scan JPEG keeps
  int max_scans = 100;                   // of a JPEG
  int target_side =
      0;  // > 0: a JPEG may come out at 1/2, 1/4 or 1/8 scale while its shorter side stays >= this
};

// Decodes the bytes of a file; `name` is for error texts. Throws DataError (damaged, over a limit, or of a
// kind that is not read; the text says which) and MemoryError (more memory than the machine has left).
Image decode_image(std::span<const uint8_t> bytes, std::string_view name, const DecodeOptions& options = {});

// The same for a file. Throws IoError if it cannot be opened or read, DataError if it is not a regular file.
Image read_image(const std::string& path, const DecodeOptions& options = {});

// The bytes of a regular file of at most max_bytes. Never blocks on a FIFO or device.
std::vector<uint8_t> read_photo_bytes(const std::string& path,
                                      int64_t max_bytes = DecodeOptions{}.max_file_bytes);

// The bytes of a PNG (lossless), of a JPEG (quality 1 .. 100) and of a PGM or PPM file. Throws UsageError for
// an empty image or one whose pixels do not fit its size.
std::vector<uint8_t> write_png(const Image& image);
std::vector<uint8_t> write_jpeg(const Image& image, int quality = 90);
std::vector<uint8_t> write_pgm(const Image& image);

// A rectangle of an image in pixels, fractions allowed; pixel i covers [i, i + 1).
struct Box {
  double x0 = 0, y0 = 0, x1 = 0, y1 = 0;
};

// Antialiased resize with the triangle filter, the same as Pillow's BILINEAR: each output pixel is the
// weighted mean of the input pixels within one output pixel's distance, so nothing aliases when shrinking.
// Horizontal, then vertical pass, 22-bit fixed-point weights, 8-bit samples between the passes. The box may
// reach beyond the image: the edge pixels are repeated there.
Image resize(const Image& image, int width, int height);
Image resize(const Image& image, int width, int height, const Box& box);

// A rectangle of whole pixels inside the image. Throws UsageError if it is not inside.
Image crop(const Image& image, int x, int y, int width, int height);
// The central width x height pixels (rounded towards the upper left).
Image center_crop(const Image& image, int width, int height);
Image flip_horizontal(const Image& image);

// Upright pixels for an EXIF orientation of 1 .. 8; any other value counts as 1.
Image apply_orientation(Image image, int orientation);

// Rec. 601 luma with 16-bit weights, as Pillow's convert("L"); grey to RGB repeats the value.
Image to_grey(const Image& image);
Image to_rgb(const Image& image);

}  // namespace tern
