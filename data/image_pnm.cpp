// PGM and PPM, plain and raw (P2 P3 P5 P6). Source: netpbm's pgm(5) and ppm(5).

#include <string>

#include "tern/core/error.h"
#include "tern/data/image_codecs.h"

namespace tern {

namespace {

bool is_space(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

class PnmParser {
 public:
  explicit PnmParser(const codec::Source& source) : source_(source) {}

  Image parse() {
    const char kind = static_cast<char>(source_.bytes[1]);
    require(kind == '2' || kind == '3' || kind == '5' || kind == '6', "a netpbm file of type P",
            std::string_view(&kind, 1), "; P2, P3, P5 and P6 (grey and colour) are read");
    at_ = 2;
    const int64_t width = number("width");
    const int64_t height = number("height");
    maxval_ = number("maxval");
    require(maxval_ >= 1 && maxval_ <= 65535, "maxval ", maxval_, " is not within 1 .. 65535");
    const int channels = kind == '3' || kind == '6' ? 3 : 1;
    codec::check_size(source_, width, height, width * height * channels, 0);
    require(at_ < size() && is_space(source_.bytes[at_]), "the header ends without a blank");
    ++at_;
    Image image{static_cast<int>(width), static_cast<int>(height), channels, {}};
    if (kind >= '5') read_raw(image);
    else read_plain(image);
    return image;
  }

 private:
  size_t size() const { return source_.bytes.size(); }

  template <class... Parts>
  void require(bool good, const Parts&... parts) const {
    if (good) [[likely]]
      return;
    check<DataError>(false, codec::subject(source_), "damaged or unsupported PGM/PPM: ", parts...);
  }

  void skip_blanks() {
    while (at_ < size()) {
      if (source_.bytes[at_] == '#') {
        while (at_ < size() && source_.bytes[at_] != '\n' && source_.bytes[at_] != '\r') ++at_;
      } else if (is_space(source_.bytes[at_])) {
        ++at_;
      } else {
        return;
      }
    }
  }

  int64_t number(const char* what) {
    skip_blanks();
    require(at_ < size(), "the file ends before the ", what);
    require(is_digit(source_.bytes[at_]), "the ", what, " at byte ", at_, " is not a number");
    int64_t value = 0;
    for (; at_ < size() && is_digit(source_.bytes[at_]); ++at_) {
      value = value * 10 + (source_.bytes[at_] - '0');
      require(value <= 1'000'000'000, "the ", what, " at byte ", at_, " is too large");
    }
    return value;
  }

  uint8_t scaled(int64_t sample) const {
    require(sample <= maxval_, "a sample of ", sample, " is above maxval ", maxval_);
    return static_cast<uint8_t>((sample * 255 + maxval_ / 2) / maxval_);
  }

  void read_raw(Image& image) {
    const size_t count = size_t(image.width) * image.height * image.channels;
    const size_t bytes = maxval_ > 255 ? 2 * count : count;
    require(size() - at_ >= bytes, "the header asks for ", bytes, " bytes of pixels, the file has ",
            size() - at_);
    const uint8_t* p = source_.bytes.data() + at_;
    if (maxval_ == 255) {
      image.pixels.assign(p, p + count);
      return;
    }
    image.pixels.resize(count);
    for (size_t i = 0; i < count; ++i)
      image.pixels[i] = maxval_ > 255 ? scaled(int64_t{p[2 * i]} << 8 | p[2 * i + 1]) : scaled(p[i]);
  }

  void read_plain(Image& image) {
    const size_t count = size_t(image.width) * image.height * image.channels;
    // A sample takes a digit and a blank: refused before the memory is taken.
    require((size() - at_ + 1) / 2 >= count, "the header asks for ", count, " samples, ", size() - at_,
            " bytes follow");
    image.pixels.resize(count);
    for (uint8_t& sample : image.pixels) {
      sample = scaled(number("sample"));
      require(at_ == size() || is_space(source_.bytes[at_]) || source_.bytes[at_] == '#', "byte ", at_,
              " is no digit");
    }
  }

  const codec::Source& source_;
  size_t at_ = 0;
  int64_t maxval_ = 0;
};

}  // namespace

Image codec::decode_pnm(const Source& source) { return PnmParser(source).parse(); }

std::vector<uint8_t> write_pgm(const Image& image) {
  check(image.width > 0 && image.height > 0 && (image.channels == 1 || image.channels == 3) &&
            image.pixels.size() == size_t(image.width) * image.height * image.channels,
        "write_pgm: ", image.width, "x", image.height, "x", image.channels, " with ", image.pixels.size(),
        " samples is not an image");
  const std::string header =
      concat_text(image.channels == 1 ? "P5\n" : "P6\n", image.width, " ", image.height, "\n255\n");
  std::vector<uint8_t> bytes(header.begin(), header.end());
  bytes.insert(bytes.end(), image.pixels.begin(), image.pixels.end());
  return bytes;
}

}  // namespace tern
