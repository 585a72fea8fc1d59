#pragma once
// Image files of every kind, made in memory for the tests.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <jpeglib.h>
#include <png.h>

#include "tern/data/image.h"

namespace tern::test {

using Bytes = std::vector<uint8_t>;

// Smooth, so that JPEG keeps it within a few levels; no symmetry.
inline Image smooth_image(int width, int height, int channels) {
  Image image = make_image(width, height, channels);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        image.row(y)[x * channels + c] =
            static_cast<uint8_t>(30 + (c + 2) * 30 * x / width + (4 - c) * 25 * y / height);
  return image;
}

inline Image noise_image(int width, int height, int channels, uint32_t seed = 1) {
  Image image = make_image(width, height, channels);
  for (uint8_t& sample : image.pixels) {
    seed = seed * 1664525u + 1013904223u;
    sample = static_cast<uint8_t>(seed >> 24);
  }
  return image;
}

struct JpegFile {
  bool progressive = false;
  bool arithmetic = false;
  int quality = 95;
  int orientation = 0;  // > 0: an EXIF segment
  bool big_endian = false;
  J_COLOR_SPACE in = JCS_RGB;  // of the samples given
  J_COLOR_SPACE file = JCS_YCbCr;
  int restart_rows = 0;
};

inline Bytes tiff_block(int orientation, bool big_endian) {
  const auto o = static_cast<uint8_t>(orientation);
  if (big_endian)
    return {'M', 'M', 0, 42, 0,    0, 0, 8, 0, 2, 1, 0, 0, 3, 0, 0, 0, 1, 0,
            9,   0,   0, 1,  0x12, 0, 3, 0, 0, 0, 1, 0, o, 0, 0, 0, 0, 0, 0};
  return {'I', 'I', 42, 0,    8, 0, 0, 0, 2, 0, 0, 1, 3, 0, 1, 0, 0, 0, 9,
          0,   0,   0,  0x12, 1, 3, 0, 1, 0, 0, 0, o, 0, 0, 0, 0, 0, 0, 0};
}

// samples: [height][width][components of `in`].
inline Bytes jpeg_file(const uint8_t* samples, int width, int height, const JpegFile& f) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &data, &size);
  info.image_width = static_cast<JDIMENSION>(width);
  info.image_height = static_cast<JDIMENSION>(height);
  info.input_components = f.in == JCS_GRAYSCALE ? 1 : f.in == JCS_CMYK || f.in == JCS_YCCK ? 4 : 3;
  info.in_color_space = f.in;
  jpeg_set_defaults(&info);
  jpeg_set_colorspace(&info, f.file);
  jpeg_set_quality(&info, f.quality, TRUE);
  info.arith_code = f.arithmetic ? TRUE : FALSE;
  info.restart_in_rows = f.restart_rows;
  if (f.progressive) jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  if (f.orientation > 0) {
    Bytes segment = {'E', 'x', 'i', 'f', 0, 0};
    const Bytes tiff = tiff_block(f.orientation, f.big_endian);
    segment.insert(segment.end(), tiff.begin(), tiff.end());
    jpeg_write_marker(&info, JPEG_APP0 + 1, segment.data(), static_cast<unsigned>(segment.size()));
  }
  while (info.next_scanline < info.image_height) {
    JSAMPROW row = const_cast<uint8_t*>(samples) + size_t{info.next_scanline} * width * info.input_components;
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  Bytes bytes(data, data + size);
  std::free(data);
  return bytes;
}

inline Bytes jpeg_file(const Image& image, JpegFile f = {}) {
  if (image.channels == 1) f.in = f.file = JCS_GRAYSCALE;
  return jpeg_file(image.pixels.data(), image.width, image.height, f);
}

struct PngFile {
  int type = PNG_COLOR_TYPE_RGB;
  int depth = 8;
  bool interlaced = false;
  std::vector<png_color> palette;
  Bytes transparency;   // tRNS of a palette
  int orientation = 0;  // > 0: an eXIf chunk
  std::string comment;  // a compressed text chunk
};

// rows: packed as the file has them, row_bytes each.
inline Bytes png_file(const uint8_t* rows, size_t row_bytes, int width, int height, const PngFile& f) {
  Bytes bytes;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &bytes,
      [](png_structp p, png_bytep from, size_t n) {
        auto* to = static_cast<Bytes*>(png_get_io_ptr(p));
        to->insert(to->end(), from, from + n);
      },
      nullptr);
  png_set_IHDR(png, info, static_cast<uint32_t>(width), static_cast<uint32_t>(height), f.depth, f.type,
               f.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  if (!f.palette.empty()) png_set_PLTE(png, info, f.palette.data(), static_cast<int>(f.palette.size()));
  if (!f.transparency.empty())
    png_set_tRNS(png, info, f.transparency.data(), static_cast<int>(f.transparency.size()), nullptr);
  Bytes tiff = tiff_block(f.orientation, true);
  if (f.orientation > 0) png_set_eXIf_1(png, info, static_cast<uint32_t>(tiff.size()), tiff.data());
  png_text text{};
  std::string comment = f.comment, key = "Comment";
  if (!comment.empty()) {
    text.compression = PNG_TEXT_COMPRESSION_zTXt;
    text.key = key.data();
    text.text = comment.data();
    text.text_length = comment.size();
    png_set_text(png, info, &text, 1);
  }
  png_write_info(png, info);
  std::vector<png_bytep> pointers;
  for (int y = 0; y < height; ++y)
    pointers.push_back(const_cast<uint8_t*>(rows) + static_cast<size_t>(y) * row_bytes);
  png_write_image(png, pointers.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return bytes;
}

inline Bytes png_file(const Image& image, PngFile f = {}) {
  if (image.channels == 1) f.type = PNG_COLOR_TYPE_GRAY;
  return png_file(image.pixels.data(), static_cast<size_t>(image.width) * image.channels, image.width,
                  image.height, f);
}

// Overwrites the size in a JPEG's frame header (SOF0 or SOF2).
inline Bytes with_jpeg_size(Bytes bytes, int width, int height) {
  for (size_t i = 0; i + 9 < bytes.size(); ++i)
    if (bytes[i] == 0xFF && (bytes[i + 1] == 0xC0 || bytes[i + 1] == 0xC2)) {
      bytes[i + 5] = static_cast<uint8_t>(height >> 8), bytes[i + 6] = static_cast<uint8_t>(height);
      bytes[i + 7] = static_cast<uint8_t>(width >> 8), bytes[i + 8] = static_cast<uint8_t>(width);
      break;
    }
  return bytes;
}

inline int largest_difference(const Image& a, const Image& b) {
  if (a.width != b.width || a.height != b.height || a.channels != b.channels) return 999;
  int largest = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) {
    const int d = std::abs(int{a.pixels[i]} - int{b.pixels[i]});
    largest = d > largest ? d : largest;
  }
  return largest;
}

}  // namespace tern::test
