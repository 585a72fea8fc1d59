// JPEG through libjpeg(-turbo). The library reports errors by longjmp, so everything that calls it sits in
// functions of plain C data: no object with a destructor lives in a frame that a jump leaves.

#include <new>

#include "tern/core/error.h"
#include "tern/data/image_codecs.h"

#ifdef TERN_WITH_JPEG

#include <csetjmp>
#include <cstdio>
#include <cstdlib>

#include <jerror.h>
#include <jpeglib.h>

#endif

namespace tern {

#ifdef TERN_WITH_JPEG

namespace {

constexpr int kExifMarker = JPEG_APP0 + 1;

// The library's error manager with a place to jump to and the text of the first error or warning.
struct JumpManager {
  jpeg_error_mgr base;
  jmp_buf jump;
  char text[JMSG_LENGTH_MAX];
};

[[noreturn]] void jump_out(j_common_ptr info) {
  auto* manager = reinterpret_cast<JumpManager*>(info->err);
  manager->base.format_message(info, manager->text);
  longjmp(manager->jump, 1);
}

// A warning (level -1) means that data is damaged and has been made up: an error here. Traces are dropped.
void refuse_warning(j_common_ptr info, int level) {
  if (level < 0 && info->err->msg_code != JWRN_JFIF_MAJOR) jump_out(info);
}

void install(JumpManager& manager) {
  jpeg_std_error(&manager.base);
  manager.base.error_exit = jump_out;
  manager.base.emit_message = refuse_warning;
  manager.text[0] = 0;
}

struct ScanLimit {
  jpeg_progress_mgr base;
  int max_scans;
};

void count_scans(j_common_ptr info) {
  auto* reader = reinterpret_cast<j_decompress_ptr>(info);
  const auto* limit = reinterpret_cast<const ScanLimit*>(info->progress);
  if (reader->input_scan_number <= limit->max_scans) return;
  auto* manager = reinterpret_cast<JumpManager*>(info->err);
  std::snprintf(manager->text, sizeof manager->text, "more than %d scans", limit->max_scans);
  longjmp(manager->jump, 1);
}

struct JpegState {
  jpeg_decompress_struct info;
  JumpManager manager;
  ScanLimit limit;
  bool created;
};

bool read_header(JpegState* r, const uint8_t* data, size_t size) {
  if (setjmp(r->manager.jump)) return false;
  jpeg_create_decompress(&r->info);
  r->created = true;
  r->info.progress = &r->limit.base;
  jpeg_mem_src(&r->info, data, static_cast<unsigned long>(size));
  jpeg_save_markers(&r->info, kExifMarker, 0xFFFF);
  jpeg_read_header(&r->info, TRUE);
  jpeg_calc_output_dimensions(&r->info);
  return true;
}

bool read_rows(JpegState* r, uint8_t* pixels, size_t stride) {
  if (setjmp(r->manager.jump)) return false;
  jpeg_start_decompress(&r->info);
  while (r->info.output_scanline < r->info.output_height) {
    JSAMPROW row = pixels + r->info.output_scanline * stride;
    jpeg_read_scanlines(&r->info, &row, 1);
  }
  jpeg_finish_decompress(&r->info);
  return true;
}

// Owns the library's state; outside every frame that is jumped over.
class JpegReader {
 public:
  explicit JpegReader(const codec::Source& source) : source_(source) {
    raw_.created = false;
    raw_.info.err = (install(raw_.manager), &raw_.manager.base);
    raw_.limit.base.progress_monitor = count_scans;
    raw_.limit.max_scans = source.options.max_scans;
  }
  ~JpegReader() {
    if (raw_.created) jpeg_destroy_decompress(&raw_.info);
  }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  jpeg_decompress_struct& info() { return raw_.info; }
  void open() { require(read_header(&raw_, source_.bytes.data(), source_.bytes.size())); }
  void read(Image& image, int channels) {
    require(read_rows(&raw_, image.pixels.data(), size_t(image.width) * channels));
  }

 private:
  void require(bool good) const {
    if (good) return;
    if (raw_.manager.base.msg_code == JERR_OUT_OF_MEMORY) throw std::bad_alloc();
    check<DataError>(false, codec::subject(source_),
                     "damaged or unsupported JPEG: ", escaped(raw_.manager.text));
  }
  const codec::Source& source_;
  JpegState raw_{};
};

// The coefficients of a multi-scan file are kept until the last scan: 2 bytes each, in whole blocks.
int64_t coefficient_bytes(jpeg_decompress_struct& info) {
  if (!jpeg_has_multiple_scans(&info)) return 0;
  int64_t bytes = 0;
  for (int c = 0; c < info.num_components; ++c) {
    const jpeg_component_info& component = info.comp_info[c];
    bytes += int64_t{component.width_in_blocks} * component.height_in_blocks * DCTSIZE2 * 2;
  }
  return bytes;
}

// The smallest of 1/8, 1/4, 1/2, 1 that keeps the shorter side at target or above.
unsigned choose_denominator(int64_t shorter, int target) {
  if (target <= 0) return 1;
  for (unsigned denominator = 8; denominator > 1; denominator /= 2)
    if ((shorter + denominator - 1) / denominator >= target) return denominator;
  return 1;
}

// Adobe's convention, which Pillow assumes too: 255 means no ink. In place, 4 bytes to 3.
void cmyk_to_rgb(Image& image) {
  const size_t count = size_t(image.width) * image.height;
  const uint8_t* from = image.pixels.data();
  uint8_t* to = image.pixels.data();
  for (size_t i = 0; i < count; ++i, from += 4, to += 3) {
    const int light = from[3];
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - from[c]) * light + 128;
      to[c] = static_cast<uint8_t>(light - (((product >> 8) + product) >> 8));
    }
  }
  image.pixels.resize(count * 3);
  image.channels = 3;
}

// The orientation of the first EXIF segment.
int find_orientation(const jpeg_decompress_struct& info) {
  for (const jpeg_marker_struct* m = info.marker_list; m; m = m->next) {
    if (m->marker != kExifMarker) continue;
    if (const int found = codec::exif_orientation({m->data, m->data_length})) return found;
  }
  return 1;
}

struct JpegWriter {
  jpeg_compress_struct info;
  JumpManager manager;
  bool created;
  unsigned char* bytes;  // malloc'd by the library
  unsigned long size;
};

bool write_rows(JpegWriter* w, const uint8_t* pixels, int width, int height, int channels, int quality) {
  if (setjmp(w->manager.jump)) return false;
  jpeg_create_compress(&w->info);
  w->created = true;
  jpeg_mem_dest(&w->info, &w->bytes, &w->size);
  w->info.image_width = static_cast<JDIMENSION>(width);
  w->info.image_height = static_cast<JDIMENSION>(height);
  w->info.input_components = channels;
  w->info.in_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&w->info);
  jpeg_set_quality(&w->info, quality, TRUE);
  jpeg_start_compress(&w->info, TRUE);
  const size_t stride = static_cast<size_t>(width) * static_cast<size_t>(channels);
  while (w->info.next_scanline < w->info.image_height) {
    JSAMPROW row = const_cast<uint8_t*>(pixels) + w->info.next_scanline * stride;
    jpeg_write_scanlines(&w->info, &row, 1);
  }
  jpeg_finish_compress(&w->info);
  return true;
}

}  // namespace

Image codec::decode_jpeg(const Source& source) {
  JpegReader reader(source);
  reader.open();
  jpeg_decompress_struct& info = reader.info();
  const bool inks = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  const bool grey = info.jpeg_color_space == JCS_GRAYSCALE;
  check<DataError>(grey || inks || info.num_components == 3, subject(source), "JPEG with ",
                   info.num_components, " components: grey, colour and CMYK are read");
  const int channels = grey ? 1 : inks ? 4 : 3;
  info.out_color_space = grey ? JCS_GRAYSCALE : inks ? JCS_CMYK : JCS_RGB;
  // Sides and pixels as the file states them, memory as it will be at the chosen scale.
  const int64_t width = info.image_width, height = info.image_height;
  check_size(source, width, height, 0, 0);
  info.scale_num = 1;
  info.scale_denom = choose_denominator(width < height ? width : height, source.options.target_side);
  const int64_t scale = info.scale_denom;
  Image image{static_cast<int>((width + scale - 1) / scale),
              static_cast<int>((height + scale - 1) / scale),
              channels,
              {}};
  const int64_t bytes = int64_t{image.width} * image.height * channels;
  check_size(source, width, height, bytes, coefficient_bytes(info));
  image.pixels.resize(static_cast<size_t>(bytes));
  const int orientation = find_orientation(info);
  reader.read(image, channels);
  if (inks) cmyk_to_rgb(image);
  return apply_orientation(std::move(image), orientation);
}

std::vector<uint8_t> write_jpeg(const Image& image, int quality) {
  check(image.width > 0 && image.height > 0 && (image.channels == 1 || image.channels == 3) &&
            image.pixels.size() == size_t(image.width) * image.height * image.channels,
        "write_jpeg: ", image.width, "x", image.height, "x", image.channels, " with ", image.pixels.size(),
        " samples is not an image");
  check(quality >= 1 && quality <= 100, "write_jpeg: quality ", quality, " is not within 1 .. 100");
  JpegWriter writer{};
  install(writer.manager);
  writer.info.err = &writer.manager.base;
  const bool good =
      write_rows(&writer, image.pixels.data(), image.width, image.height, image.channels, quality);
  std::vector<uint8_t> bytes;
  if (good) bytes.assign(writer.bytes, writer.bytes + writer.size);
  if (writer.created) jpeg_destroy_compress(&writer.info);
  std::free(writer.bytes);
  check(good, "write_jpeg: ", escaped(writer.manager.text));
  return bytes;
}

#else

Image codec::decode_jpeg(const Source& source) {
  detail::fail<DataError>(subject(source),
                          "this build of tern reads no JPEG; hint: install libjpeg-dev, build again");
}
std::vector<uint8_t> write_jpeg(const Image&, int) {
  detail::fail<UsageError>(
      "write_jpeg: this build of tern writes no JPEG; hint: install libjpeg-dev, build again");
}

#endif

}  // namespace tern
