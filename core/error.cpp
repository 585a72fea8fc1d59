#include "tern/core/error.h"

#include <fmt/format.h>

#include <vector>

namespace tern {
namespace {

thread_local std::vector<std::string_view> t_path;

std::string with_path(const std::string& text) {
  const std::string path = ErrorScope::path();
  return path.empty() ? text : text + "; in " + path;
}

}  // namespace

Error::Error(ErrorKind kind, const std::string& text) : std::runtime_error(with_path(text)), kind_(kind) {}

ErrorScope::ErrorScope(std::string_view name) { t_path.push_back(name); }
ErrorScope::~ErrorScope() { t_path.pop_back(); }

std::string ErrorScope::path() {
  std::string path;
  for (const auto name : t_path) {
    if (name.empty()) continue;
    if (!path.empty()) path += '.';
    path += name;
  }
  return path;
}

std::string escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) out += c;
    else out += fmt::format("\\x{:02x}", byte);
  }
  return out;
}

namespace detail {
void append_part(std::string& text, std::string_view part) { text += part; }
void append_part(std::string& text, const char* part) { text += part; }
void append_part(std::string& text, bool part) { text += part ? "true" : "false"; }
void append_part(std::string& text, int64_t part) { text += std::to_string(part); }
void append_part(std::string& text, uint64_t part) { text += std::to_string(part); }
void append_part(std::string& text, double part) { text += fmt::format("{:.6g}", part); }
}  // namespace detail

}  // namespace tern
