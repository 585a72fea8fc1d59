// PNG through libpng. Like libjpeg it reports errors by longjmp: everything between a setjmp and a jump is a
// function of plain C data.

#include "tern/core/error.h"
#include "tern/data/image_codecs.h"

#ifdef TERN_WITH_PNG

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include <png.h>

#endif

namespace tern {

#ifdef TERN_WITH_PNG

namespace {

struct PngState {
  png_structp png;
  png_infop info;
  const uint8_t* data;
  size_t size;
  size_t used;
  char text[160];
  // From the header.
  uint32_t width, height;
  int channels;
  int passes;
  size_t row_bytes;
};

[[noreturn]] void jump_out(png_structp png, png_const_charp text) {
  auto* r = static_cast<PngState*>(png_get_error_ptr(png));
  std::snprintf(r->text, sizeof r->text, "%s", text);
  png_longjmp(png, 1);
}

void ignore_warning(png_structp, png_const_charp) {}

void supply(png_structp png, png_bytep to, size_t count) {
  auto* r = static_cast<PngState*>(png_get_io_ptr(png));
  if (count > r->size - r->used) png_error(png, "the file ends too early");
  std::memcpy(to, r->data + r->used, count);
  r->used += count;
}

// Limits and strictness, before the first byte is read.
void be_strict(PngState* r, int max_side) {
  png_set_user_limits(r->png, static_cast<uint32_t>(max_side), static_cast<uint32_t>(max_side));
  png_set_chunk_malloc_max(r->png, 1 << 20);
  png_set_chunk_cache_max(r->png, 64);
  png_set_crc_action(r->png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  // Chunks that can inflate into much memory and change no pixel are skipped unread.
  static const png_byte kSkipped[] = "iCCP\0zTXt\0iTXt\0tEXt\0sPLT\0hIST\0pCAL\0sCAL";
  png_set_keep_unknown_chunks(r->png, PNG_HANDLE_CHUNK_NEVER, kSkipped, sizeof kSkipped / 5);
}

// Whatever the file holds, rows of 8-bit grey or RGB.
void ask_for_grey_or_rgb(PngState* r) {
  const int depth = png_get_bit_depth(r->png, r->info);
  const int type = png_get_color_type(r->png, r->info);
  if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(r->png);
  if (type == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(r->png);
  if (depth == 16) png_set_scale_16(r->png);
  png_set_strip_alpha(r->png);
  r->passes = png_set_interlace_handling(r->png);
}

bool read_header(PngState* r, int max_side) {
  r->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, r, jump_out, ignore_warning);
  if (!r->png) return false;
  if (setjmp(png_jmpbuf(r->png))) return false;
  r->info = png_create_info_struct(r->png);
  if (!r->info) png_error(r->png, "out of memory");
  png_set_read_fn(r->png, r, supply);
  be_strict(r, max_side);
  png_read_info(r->png, r->info);
  r->width = png_get_image_width(r->png, r->info);
  r->height = png_get_image_height(r->png, r->info);
  ask_for_grey_or_rgb(r);
  png_read_update_info(r->png, r->info);
  r->channels = png_get_channels(r->png, r->info);
  r->row_bytes = png_get_rowbytes(r->png, r->info);
  return true;
}

bool read_rows(PngState* r, uint8_t* pixels) {
  if (setjmp(png_jmpbuf(r->png))) return false;
  for (int pass = 0; pass < r->passes; ++pass)
    for (uint32_t y = 0; y < r->height; ++y) png_read_row(r->png, pixels + y * r->row_bytes, nullptr);
  png_read_end(r->png, r->info);
  return true;
}

// The orientation of the eXIf chunk, which may stand before or after the pixels.
int find_orientation(PngState* r) {
#ifdef PNG_eXIf_SUPPORTED
  png_uint_32 size = 0;
  png_bytep data = nullptr;
  if (png_get_eXIf_1(r->png, r->info, &size, &data) && data) return codec::tiff_orientation({data, size});
#endif
  (void)r;
  return 1;
}

// Owns the library's state; outside every frame that is jumped over.
class PngReader {
 public:
  explicit PngReader(const codec::Source& source) : source_(source) {
    raw_.data = source.bytes.data();
    raw_.size = source.bytes.size();
  }
  ~PngReader() {
    if (raw_.png) png_destroy_read_struct(&raw_.png, raw_.info ? &raw_.info : nullptr, nullptr);
  }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  PngState& raw() { return raw_; }
  void open() { require(read_header(&raw_, source_.options.max_side)); }
  void read(Image& image) { require(read_rows(&raw_, image.pixels.data())); }

 private:
  void require(bool good) const {
    check<DataError>(good, codec::subject(source_), "damaged or unsupported PNG: ", escaped(raw_.text));
  }
  const codec::Source& source_;
  PngState raw_{};
};

// Sizes stand at fixed places in a PNG; reading them here refuses a giant with our own text.
void check_header(const codec::Source& source) {
  const codec::Bytes b = source.bytes;
  check<DataError>(b.size() >= 33 && std::memcmp(b.data() + 12, "IHDR", 4) == 0, codec::subject(source),
                   "damaged PNG: no IHDR chunk");
  const auto u32 = [&](size_t i) {
    return int64_t{b[i]} << 24 | int64_t{b[i + 1]} << 16 | int64_t{b[i + 2]} << 8 | int64_t{b[i + 3]};
  };
  codec::check_size(source, u32(16), u32(20), 0, 0);
}

struct PngWriter {
  png_structp png;
  png_infop info;
  std::vector<uint8_t>* bytes;
  char text[160];
};

[[noreturn]] void jump_out_of_writing(png_structp png, png_const_charp text) {
  auto* w = static_cast<PngWriter*>(png_get_error_ptr(png));
  std::snprintf(w->text, sizeof w->text, "%s", text);
  png_longjmp(png, 1);
}

// The vector lives outside; growing it is guarded, because an exception must not cross the library's frames.
void accept(png_structp png, png_bytep from, size_t count) {
  auto* w = static_cast<PngWriter*>(png_get_io_ptr(png));
  bool good = true;
  try {
    w->bytes->insert(w->bytes->end(), from, from + count);
  } catch (...) {
    good = false;
  }
  if (!good) png_error(png, "out of memory");
}

bool write_rows(PngWriter* w, const uint8_t* pixels, int width, int height, int channels) {
  w->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, w, jump_out_of_writing, ignore_warning);
  if (!w->png) return false;
  if (setjmp(png_jmpbuf(w->png))) return false;
  w->info = png_create_info_struct(w->png);
  if (!w->info) png_error(w->png, "out of memory");
  png_set_write_fn(w->png, w, accept, nullptr);
  png_set_IHDR(w->png, w->info, static_cast<uint32_t>(width), static_cast<uint32_t>(height), 8,
               channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(w->png, w->info);
  const size_t stride = static_cast<size_t>(width) * static_cast<size_t>(channels);
  for (int y = 0; y < height; ++y) png_write_row(w->png, pixels + static_cast<size_t>(y) * stride);
  png_write_end(w->png, w->info);
  return true;
}

}  // namespace

Image codec::decode_png(const Source& source) {
  check_header(source);
  PngReader reader(source);
  reader.open();
  PngState& raw = reader.raw();
  check<DataError>(
      (raw.channels == 1 || raw.channels == 3) && raw.row_bytes == size_t{raw.width} * raw.channels,
      subject(source), "PNG of an unknown kind");
  const int64_t bytes = int64_t{raw.width} * raw.height * raw.channels;
  check_size(source, raw.width, raw.height, bytes, 0);
  Image image{static_cast<int>(raw.width), static_cast<int>(raw.height), raw.channels, {}};
  image.pixels.resize(static_cast<size_t>(bytes));
  reader.read(image);
  return apply_orientation(std::move(image), find_orientation(&raw));
}

std::vector<uint8_t> write_png(const Image& image) {
  check(image.width > 0 && image.height > 0 && (image.channels == 1 || image.channels == 3) &&
            image.pixels.size() == size_t(image.width) * image.height * image.channels,
        "write_png: ", image.width, "x", image.height, "x", image.channels, " with ", image.pixels.size(),
        " samples is not an image");
  std::vector<uint8_t> bytes;
  PngWriter writer{};
  writer.bytes = &bytes;
  const bool good = write_rows(&writer, image.pixels.data(), image.width, image.height, image.channels);
  if (writer.png) png_destroy_write_struct(&writer.png, writer.info ? &writer.info : nullptr);
  check(good, "write_png: ", escaped(writer.text));
  return bytes;
}

#else

Image codec::decode_png(const Source& source) {
  detail::fail<DataError>(subject(source),
                          "this build of tern reads no PNG; hint: install libpng-dev, build again");
}
std::vector<uint8_t> write_png(const Image&) {
  detail::fail<UsageError>(
      "write_png: this build of tern writes no PNG; hint: install libpng-dev, build again");
}

#endif

}  // namespace tern
