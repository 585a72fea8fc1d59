#include "tern/data/image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "tern/core/allocator.h"
#include "tern/core/error.h"
#include "tern/data/image_codecs.h"

namespace tern {

namespace codec {

std::string subject(const Source& source) { return escaped(source.name) + ": "; }

void check_size(const Source& source, int64_t width, int64_t height, int64_t pixel_bytes,
                int64_t working_bytes) {
  const DecodeOptions& o = source.options;
  check<DataError>(width > 0 && height > 0, subject(source), "image of ", width, "x", height,
                   " pixels: a photo has at least one pixel each way");
  check<DataError>(width <= o.max_side && height <= o.max_side, subject(source), width, "x", height,
                   " pixels, a side may have at most ", o.max_side, "; hint: scale the photo down");
  check<DataError>(width * height <= o.max_pixels, subject(source), width, "x", height, " is ",
                   width * height / 1'000'000, " Mpx, limit ", o.max_pixels / 1'000'000,
                   "; hint: scale the photo down");
  const int64_t bytes = pixel_bytes + working_bytes;
  check<DataError>(bytes <= o.max_memory_bytes, subject(source), "decoding ", width, "x", height,
                   " pixels takes ", bytes >> 20, " MiB, limit ", o.max_memory_bytes >> 20,
                   "; hint: scale the photo down or save it as a baseline JPEG");
  // Asking the system costs a few file reads, so small photos go unasked.
  constexpr int64_t kUnasked = 16 << 20;
  if (bytes <= kUnasked) return;
  const int64_t available = available_memory();
  check<MemoryError>(bytes <= available, subject(source), "decoding ", width, "x", height, " pixels takes ",
                     bytes >> 20, " MiB, ", available >> 20, " MiB are available");
}

}  // namespace codec

namespace {

bool begins_with(codec::Bytes bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

// A file descriptor that closes itself.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

}  // namespace

Image make_image(int width, int height, int channels, uint8_t value) {
  check(width > 0 && height > 0 && (channels == 1 || channels == 3), "image: ", width, "x", height, " with ",
        channels, " channels; a side is at least 1, channels are 1 or 3");
  Image image{width, height, channels, {}};
  image.pixels.assign(size_t(width) * height * channels, value);
  return image;
}

Image decode_image(std::span<const uint8_t> bytes, std::string_view name, const DecodeOptions& options) {
  const codec::Source source{bytes, name, options};
  const auto size = static_cast<int64_t>(bytes.size());
  check<DataError>(size <= options.max_file_bytes, codec::subject(source), size, " bytes, limit ",
                   options.max_file_bytes);
  check<DataError>(size > 0, codec::subject(source), "the file is empty");
  try {
    if (begins_with(bytes, "\xff\xd8\xff")) return codec::decode_jpeg(source);
    if (begins_with(bytes, "\x89PNG\r\n\x1a\n")) return codec::decode_png(source);
    if (size >= 2 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '7') return codec::decode_pnm(source);
  } catch (const std::bad_alloc&) {
    detail::fail<MemoryError>(codec::subject(source), "not enough memory to decode it");
  }
  detail::fail<DataError>(codec::subject(source),
                          "not a photo tern reads: the first bytes are those of no JPEG,",
                          " PNG, PGM or PPM; hint: the type is told from the content, not from the name");
}

std::vector<uint8_t> read_photo_bytes(const std::string& path, int64_t max_bytes) {
  // Non-blocking, so that opening a FIFO without a writer returns at once.
  const File file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  check<IoError>(file.get() >= 0, escaped(path), ": cannot open: ", std::strerror(errno));
  struct stat info;
  const int error = ::fstat(file.get(), &info) == 0 ? 0 : errno;
  check<IoError>(error == 0, escaped(path), ": cannot stat: ", std::strerror(error));
  check<DataError>(S_ISREG(info.st_mode), escaped(path), ": not a regular file");
  check<DataError>(info.st_size <= max_bytes, escaped(path), ": ", int64_t{info.st_size}, " bytes, limit ",
                   max_bytes);
  std::vector<uint8_t> bytes(static_cast<size_t>(info.st_size));
  size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t got = ::read(file.get(), bytes.data() + filled, bytes.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    check<IoError>(got >= 0, escaped(path), ": cannot read: ", std::strerror(errno));
    if (got == 0) break;  // the file shrank meanwhile
    filled += static_cast<size_t>(got);
  }
  bytes.resize(filled);
  return bytes;
}

Image read_image(const std::string& path, const DecodeOptions& options) {
  return decode_image(read_photo_bytes(path, options.max_file_bytes), path, options);
}

}  // namespace tern
