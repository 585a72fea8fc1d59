#include "tern/apps/watch.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "tern/core/error.h"

namespace tern::app {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRoles[] = {"anchor", "positive", "negative"};

// The role that a file name without extension stands for, -1 for none.
int role_of(std::string_view stem) {
  for (int role = 0; role < 3; ++role)
    if (stem == kRoles[role]) return role;
  return -1;
}

bool is_photo(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png" || extension == ".pgm" ||
         extension == ".ppm";
}

// What changes while a file is being written. Empty if it is gone, or still empty.
std::string stamp_of(const std::string& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error || size == 0) return "";
  const auto time = fs::last_write_time(path, error);
  return error ? "" : concat_text(size, "@", static_cast<int64_t>(time.time_since_epoch().count()), " ");
}

void add_photo(std::map<std::string, Trio>& trios, const std::string& name, std::string_view role,
               const fs::path& path) {
  const int at = role_of(role);
  if (at < 0 || name.empty() || !is_photo(path)) return;
  Trio& trio = trios[name];
  trio.name = name;
  auto& photo = trio.photos[static_cast<size_t>(at)];
  if (photo.empty() || path.string() < photo) photo = path.string();
}

}  // namespace

TrioFolder::TrioFolder(std::string folder) : folder_(std::move(folder)) {
  std::error_code error;
  check<DataError>(fs::is_directory(folder_, error), "triplet: --watch ", escaped(folder_),
                   ": not a folder; hint: make it first");
}

std::vector<Trio> TrioFolder::take_new() {
  std::map<std::string, Trio> trios;
  std::error_code error, ignored;
  fs::directory_iterator at(folder_, error);
  for (; !error && at != fs::directory_iterator(); at.increment(error)) {
    const fs::path& path = at->path();
    const std::string stem = path.stem().string();
    if (path.filename().string()[0] == '.') continue;
    if (fs::is_directory(path, ignored)) {
      fs::directory_iterator inner(path, ignored);
      for (; !ignored && inner != fs::directory_iterator(); inner.increment(ignored))
        add_photo(trios, path.filename().string(), inner->path().stem().string(), inner->path());
    } else if (const size_t dash = stem.rfind('-'); dash != std::string::npos) {
      add_photo(trios, stem.substr(0, dash), stem.substr(dash + 1), path);
    }
  }
  check<IoError>(!error, "triplet: cannot list ", escaped(folder_), ": ", error.message());
  std::vector<Trio> fresh;
  for (const auto& [name, trio] : trios) {
    std::string stamp;
    bool complete = true;
    for (const auto& photo : trio.photos) {
      const std::string one = photo.empty() ? "" : stamp_of(photo);
      complete = complete && !one.empty();
      stamp += one;
    }
    std::string& before = seen_[name];
    std::string& answered = answered_[name];
    if (complete && stamp == before && stamp != answered) {
      fresh.push_back(trio);
      answered = stamp;
    }
    before = stamp;
  }
  return fresh;
}

}  // namespace tern::app
