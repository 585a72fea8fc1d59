#include "tern/data/dataset.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "tern/core/error.h"

namespace tern {

namespace {

constexpr std::string_view kAccepted =
    "expected ROOT/PERSON/PHOTO with one folder per person and photos ending in .jpg .jpeg .png .pgm or .ppm";

bool has_photo_extension(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return false;
  std::string extension(name.substr(dot + 1));
  for (char& c : extension)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return extension == "jpg" || extension == "jpeg" || extension == "png" || extension == "pgm" ||
         extension == "ppm";
}

enum class Kind { Folder, File, Other };

struct Entry {
  std::string name;
  Kind kind;
};

Kind kind_of(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return Kind::Other;  // a dangling link, or gone meanwhile
  return S_ISDIR(info.st_mode) ? Kind::Folder : S_ISREG(info.st_mode) ? Kind::File : Kind::Other;
}

// What is in a folder, byte-wise sorted, hidden names left out. Links count as what they lead to.
std::vector<Entry> list_folder(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
  const int reason = errno;
  check<IoError>(folder != nullptr, escaped(path), ": cannot list: ", std::strerror(reason));
  std::vector<Entry> entries;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(folder.get());
    if (!entry) break;
    if (entry->d_name[0] == '.') continue;
    // Most file systems tell the kind here, which saves a system call per photo.
    const Kind kind = entry->d_type == DT_DIR   ? Kind::Folder
                      : entry->d_type == DT_REG ? Kind::File
                                                : kind_of(path + "/" + entry->d_name);
    entries.push_back({entry->d_name, kind});
  }
  check<IoError>(errno == 0, escaped(path), ": cannot list: ", std::strerror(errno));
  // char_traits<char> compares bytes as unsigned.
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return entries;
}

template <class T>
const T& element(const std::vector<T>& list, int64_t i, const char* what) {
  check(i >= 0 && i < static_cast<int64_t>(list.size()), "dataset: ", what, " ", i, " of ", list.size());
  return list[static_cast<size_t>(i)];
}

}  // namespace

Image Dataset::load_reduced(int64_t photo, int) const { return load(photo); }

uint64_t Dataset::content_hash(int64_t photo) const {
  const Image image = load(photo);
  return hash_bytes(image.pixels) ^
         (uint64_t(image.width) << 40 | uint64_t(image.height) << 20 | image.channels);
}

std::vector<int64_t> identity_of_photos(const Dataset& dataset) {
  std::vector<int64_t> identities(static_cast<size_t>(dataset.size()));
  for (int64_t i = 0; i < dataset.size(); ++i) identities[i] = dataset.identity(i);
  return identities;
}

std::vector<std::vector<int64_t>> photos_of_identities(const Dataset& dataset) {
  std::vector<std::vector<int64_t>> photos(static_cast<size_t>(dataset.identities()));
  for (int64_t i = 0; i < dataset.size(); ++i) photos[dataset.identity(i)].push_back(i);
  return photos;
}

// Eight bytes at a time through a multiply and a fold (the mixing step of MurmurHash2's family): finds
// copies, is no defence against someone who makes collisions.
uint64_t hash_bytes(std::span<const uint8_t> bytes) {
  constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15u;
  const auto mix = [](uint64_t h, uint64_t word) {
    h = (h ^ word) * kMultiplier;
    return h ^ (h >> 29);
  };
  uint64_t hash = mix(0x243F6A8885A308D3u, bytes.size());
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + i, 8);
    hash = mix(hash, word);
  }
  uint64_t tail = 0;
  if (i < bytes.size()) std::memcpy(&tail, bytes.data() + i, bytes.size() - i);
  return mix(mix(hash, tail), kMultiplier);
}

FolderDataset::FolderDataset(std::string root, FolderOptions options)
    : root_(std::move(root)), options_(std::move(options)) {
  while (root_.size() > 1 && root_.back() == '/') root_.pop_back();
  struct stat info;
  const int error = ::stat(root_.c_str(), &info) == 0 ? 0 : errno;
  check<DataError>(error == 0, escaped(root_), ": ", std::strerror(error), "; hint: ", kAccepted);
  check<DataError>(S_ISDIR(info.st_mode), escaped(root_), ": not a folder; hint: ", kAccepted);
  int64_t folders = 0;
  for (const auto& [name, kind] : list_folder(root_)) {
    if (kind != Kind::Folder) {
      ++passed_over_;
      continue;
    }
    ++folders;
    const bool wanted = options_.include.empty() || options_.include.count(name);
    if (wanted && !options_.exclude.count(name)) scan_identity(name);
  }
  for (const std::string& name : options_.include)
    if (!std::binary_search(names_.begin(), names_.end(), name)) missing_.push_back(name);
  check<DataError>(identities() >= options_.min_identities, escaped(root_), ": ", identities(),
                   identities() == 1 ? " person with " : " people with ", size(),
                   size() == 1 ? " photo in " : " photos in ", folders, " folders, at least ",
                   options_.min_identities, " needed; hint: ", kAccepted);
}

void FolderDataset::scan_identity(const std::string& name) {
  const std::string folder = root_ + "/" + name;
  const auto identity = static_cast<int64_t>(names_.size());
  const size_t before = photos_.size();
  for (auto& [file, kind] : list_folder(folder)) {
    if (kind == Kind::File && has_photo_extension(file)) photos_.push_back({identity, std::move(file)});
    else ++passed_over_;
  }
  if (photos_.size() > before) names_.push_back(name);
  else ++empty_identities_;
}

int64_t FolderDataset::identity(int64_t photo) const { return element(photos_, photo, "photo").identity; }

std::string FolderDataset::identity_name(int64_t identity) const {
  return element(names_, identity, "identity");
}

std::string FolderDataset::photo_name(int64_t photo) const {
  const Photo& p = element(photos_, photo, "photo");
  return names_[static_cast<size_t>(p.identity)] + "/" + p.file;
}

std::string FolderDataset::path(int64_t photo) const { return root_ + "/" + photo_name(photo); }

Image FolderDataset::load_reduced(int64_t photo, int target_side) const {
  DecodeOptions decode = options_.decode;
  decode.target_side = target_side;
  return read_image(path(photo), decode);
}

uint64_t FolderDataset::content_hash(int64_t photo) const {
  return hash_bytes(read_photo_bytes(path(photo), options_.decode.max_file_bytes));
}

SubsetDataset::SubsetDataset(const Dataset& base, std::span<const int64_t> identities)
    : base_(base), identities_(identities.begin(), identities.end()) {
  std::vector<int64_t> number(static_cast<size_t>(base.identities()), -1);
  for (size_t i = 0; i < identities_.size(); ++i) {
    const int64_t identity = identities_[i];
    check(identity >= 0 && identity < base.identities(), "subset: identity ", identity, " of ",
          base.identities());
    check(number[identity] < 0, "subset: identity ", identity, " is given twice");
    number[identity] = static_cast<int64_t>(i);
  }
  // Photos in the order of their new identities, as in every data set read from a folder.
  std::vector<std::vector<int64_t>> photos(identities_.size());
  for (int64_t photo = 0; photo < base.size(); ++photo)
    if (const int64_t i = number[base.identity(photo)]; i >= 0) photos[i].push_back(photo);
  for (size_t i = 0; i < photos.size(); ++i)
    for (const int64_t photo : photos[i]) {
      photos_.push_back(photo);
      identity_of_.push_back(static_cast<int64_t>(i));
    }
}

int64_t SubsetDataset::identity(int64_t photo) const { return element(identity_of_, photo, "photo"); }
int64_t SubsetDataset::base_photo(int64_t photo) const { return element(photos_, photo, "photo"); }
int64_t SubsetDataset::base_identity(int64_t identity) const {
  return element(identities_, identity, "identity");
}
std::string SubsetDataset::identity_name(int64_t identity) const {
  return base_.identity_name(base_identity(identity));
}

}  // namespace tern
