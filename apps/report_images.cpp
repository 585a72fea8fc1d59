// Images as text inside the page.
#include "tern/apps/report.h"
#include "tern/core/error.h"

namespace tern::report {

namespace {

std::string base64(const std::vector<uint8_t>& bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = bytes.size() - i;
    const uint32_t word = static_cast<uint32_t>(bytes[i]) << 16 | (left > 1 ? bytes[i + 1] * 256u : 0u) |
                          (left > 2 ? bytes[i + 2] : 0u);
    out += kDigits[word >> 18];
    out += kDigits[word >> 12 & 63];
    out += left > 1 ? kDigits[word >> 6 & 63] : '=';
    out += left > 2 ? kDigits[word & 63] : '=';
  }
  return out;
}

// The simplest picture every browser shows: 24 bits a pixel, rows from the bottom up, padded to four bytes.
std::vector<uint8_t> bmp_bytes(const Image& photo) {
  const Image image = to_rgb(photo);
  const uint32_t row = (static_cast<uint32_t>(image.width) * 3 + 3) / 4 * 4;
  const uint32_t total = 54 + row * static_cast<uint32_t>(image.height);
  std::vector<uint8_t> out(total);
  const auto put = [&](size_t at, uint32_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) out[at + i] = static_cast<uint8_t>(value >> (8 * i));
  };
  out[0] = 'B', out[1] = 'M';
  put(2, total, 4), put(10, 54, 4), put(14, 40, 4), put(26, 1, 2), put(28, 24, 2);
  put(18, static_cast<uint32_t>(image.width), 4), put(22, static_cast<uint32_t>(image.height), 4);
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      for (int c = 0; c < 3; ++c)
        out[54 + static_cast<size_t>(row) * static_cast<size_t>(image.height - 1 - y) +
            static_cast<size_t>(x * 3 + c)] = image.at(y, x, 2 - c);
  return out;
}

}  // namespace

std::string data_uri(const Image& image, int quality) {
  check(image.width > 0 && image.height > 0 && (image.channels == 1 || image.channels == 3) &&
            image.pixels.size() == static_cast<size_t>(image.width) * static_cast<size_t>(image.height) *
                                       static_cast<size_t>(image.channels),
        "report: an image of ", image.width, " x ", image.height, " x ", image.channels, " with ",
        static_cast<int64_t>(image.pixels.size()), " bytes");
  try {
    return "data:image/jpeg;base64," + base64(write_jpeg(image, quality));
  } catch (const Error&) {  // built without libjpeg
    return "data:image/bmp;base64," + base64(bmp_bytes(image));
  }
}

}  // namespace tern::report
