#include "tern/apps/files.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "tern/core/error.h"

namespace tern::app {

void make_folders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  check<IoError>(!error, "cannot make the folder ", escaped(path), ": ", error.message());
}

void write_photo_file(const std::string& path, std::span<const uint8_t> bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (file) return;
  const std::string reason = std::strerror(errno);
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  throw IoError(concat_text("cannot write ", escaped(path), ": ", reason));
}

}  // namespace tern::app
