#include "tern/core/fs.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include "tern/core/error.h"

namespace tern {
namespace {

template <class Result>
Result or_errno(Result result) {
  return result < 0 ? static_cast<Result>(-errno) : result;
}

class RealFs final : public Fs {
 public:
  int open_read(const std::string& path) override {
    // O_NONBLOCK: opening a pipe must not wait for a writer; regular files ignore it.
    const int fd = or_errno(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (fd < 0) return fd;
    struct stat info {};
    const int failed = ::fstat(fd, &info) < 0  ? errno
                       : S_ISDIR(info.st_mode) ? EISDIR
                       : S_ISREG(info.st_mode) ? 0
                                               : EINVAL;
    if (failed == 0) return fd;
    ::close(fd);
    return -failed;
  }
  int create_new(const std::string& path) override {
    return or_errno(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  }
  int open_folder(const std::string& path) override {
    return or_errno(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  int64_t size(int fd) override {
    struct stat info {};
    return ::fstat(fd, &info) < 0 ? -errno : static_cast<int64_t>(info.st_size);
  }
  int64_t read(int fd, void* data, size_t bytes) override {
    return or_errno(int64_t{::read(fd, data, bytes)});
  }
  int64_t write(int fd, const void* data, size_t bytes) override {
    return or_errno(int64_t{::write(fd, data, bytes)});
  }
  int sync(int fd) override { return or_errno(::fsync(fd)); }
  int close(int fd) override { return or_errno(::close(fd)); }
  int rename(const std::string& from, const std::string& to) override {
    return or_errno(::rename(from.c_str(), to.c_str()));
  }
  int remove(const std::string& path) override { return or_errno(::unlink(path.c_str())); }
};

std::atomic<Fs*> replacement_fs{nullptr};
std::atomic<uint64_t> temporary_counter{0};

constexpr std::string_view kTemporaryPrefix = ".tern-";
constexpr std::string_view kTemporarySuffix = ".tmp";

std::string error_text(int64_t negative_errno) {
  return std::system_category().message(static_cast<int>(-negative_errno));
}

[[noreturn]] void throw_io(const char* doing, const std::string& path, int64_t error) {
  std::string hint;
  if (error == -ENOSPC || error == -EDQUOT) hint = "; hint: free some space on this disk";
  if (error == -ENOENT) hint = "; hint: check the path";
  throw IoError(concat_text("cannot ", doing, " ", escaped(path), ": ", error_text(error), hint));
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Fs& fs() {
  static RealFs real;
  Fs* replacement = replacement_fs.load(std::memory_order_acquire);
  return replacement ? *replacement : real;
}

UseFs::UseFs(Fs& replacement) : before_(replacement_fs.exchange(&replacement)) {}
UseFs::~UseFs() { replacement_fs.store(before_); }

FileReader::FileReader(const std::string& path) : path_(path) {
  fd_ = fs().open_read(path);
  if (fd_ < 0) throw_io("open", path, fd_);
  size_ = fs().size(fd_);
  if (size_ >= 0) return;
  fs().close(fd_);
  throw_io("measure", path, size_);
}

FileReader::~FileReader() { fs().close(fd_); }

int64_t FileReader::read(void* data, int64_t bytes) {
  // Linux moves at most about 2 GiB a call; smaller pieces also let a signal through.
  constexpr int64_t kPiece = int64_t{1} << 28;
  int64_t done = 0;
  while (done < bytes) {
    const auto piece = static_cast<size_t>(std::min(bytes - done, kPiece));
    const int64_t got = fs().read(fd_, static_cast<char*>(data) + done, piece);
    if (got == -EINTR) continue;
    if (got < 0) throw_io("read", path_, got);
    if (got == 0) break;
    done += got;
  }
  return done;
}

std::string read_file(const std::string& path, int64_t max_bytes) {
  FileReader reader(path);
  check<DataError>(reader.size() <= max_bytes, "read ", escaped(path), ": the file has ", reader.size(),
                   " bytes, at most ", max_bytes, " are read");
  std::string bytes(static_cast<size_t>(reader.size()), '\0');
  bytes.resize(static_cast<size_t>(reader.read(bytes.data(), reader.size())));
  return bytes;
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  const std::string folder = folder_of(path_);
  fd_ = -EEXIST;
  for (int attempt = 0; attempt < 100 && fd_ == -EEXIST; ++attempt) {
    const uint64_t number = temporary_counter.fetch_add(1);
    temporary_ = concat_text(folder, "/", kTemporaryPrefix, static_cast<int64_t>(::getpid()), "-", number,
                             kTemporarySuffix);
    fd_ = fs().create_new(temporary_);
  }
  if (fd_ < 0) throw_io("create a temporary file for", path_, fd_);
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) fs().close(fd_);
  if (!temporary_.empty()) fs().remove(temporary_);
}

void AtomicFile::fail(const char* doing, int64_t error) {
  if (fd_ >= 0) fs().close(fd_);
  fd_ = -1;
  if (!temporary_.empty()) fs().remove(temporary_);
  temporary_.clear();
  throw_io(doing, path_, error);
}

void AtomicFile::write(const void* data, size_t bytes) {
  check(fd_ >= 0, "AtomicFile: write after commit or failure (", escaped(path_), ")");
  constexpr size_t kPiece = size_t{1} << 28;
  for (size_t done = 0; done < bytes;) {
    const int64_t written =
        fs().write(fd_, static_cast<const char*>(data) + done, std::min(bytes - done, kPiece));
    if (written == -EINTR) continue;
    if (written <= 0) fail("write", written < 0 ? written : -EIO);
    done += static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  check(fd_ >= 0, "AtomicFile: commit after commit or failure (", escaped(path_), ")");
  if (const int error = fs().sync(fd_); error < 0) fail("flush to disk", error);
  const int close_error = fs().close(std::exchange(fd_, -1));
  if (close_error < 0 && close_error != -EINTR) fail("close", close_error);
  // Opened before the rename, so that running out of descriptors still leaves the old file.
  const int folder = fs().open_folder(folder_of(path_));
  if (folder < 0) fail("open the folder of", folder);
  if (const int error = fs().rename(temporary_, path_); error < 0) {
    fs().close(folder);
    fail("replace", error);
  }
  temporary_.clear();
  const int error = fs().sync(folder);
  fs().close(folder);
  // Some file systems cannot flush a folder and say so; there is nothing more to do there.
  if (error < 0 && error != -EINVAL && error != -ENOTSUP) {
    throw_io("flush (it is written, but may not survive a power cut) the folder of", path_, error);
  }
}

FolderLock::FolderLock(const std::string& folder)
    : fd_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (fd_ < 0 || ::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(fd_);
  throw UsageError(
      concat_text("the folder ", escaped(folder),
                  " is in use by another process; hint: wait for it to end, or choose another folder"));
}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

void write_file_atomically(const std::string& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

bool is_temporary_name(std::string_view file_name) {
  return file_name.size() > kTemporaryPrefix.size() + kTemporarySuffix.size() &&
         file_name.starts_with(kTemporaryPrefix) && file_name.ends_with(kTemporarySuffix);
}

}  // namespace tern
