#pragma once
// Files that survive faults. Everything tern reads or writes as a whole file goes through here.
//
// AtomicFile replaces a file in one step: the bytes go to a temporary file in the same folder, are flushed to
// the disk (fsync), the temporary is renamed over the target, and the folder is flushed. A reader, a crash or
// a full disk therefore meets the old file or the new one, whole, never a mixture. fsync is never retried:
// after a failure the kernel may have dropped the dirty pages, and a second call would report success for
// bytes that are lost. Sources: Pillai et al., "All file systems are not created equal", OSDI 2014;
// PostgreSQL's fsync notes (2018).
//
// Fs is the seam where tests put faults (tests/support/fault_fs.h).

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tern {

// The calls of the operating system that files need. A negative result is -errno.
class Fs {
 public:
  virtual ~Fs() = default;
  virtual int open_read(const std::string& path) = 0;          // file descriptor; regular files only (EINVAL)
  virtual int create_new(const std::string& path) = 0;         // file descriptor; EEXIST if there is one
  virtual int open_folder(const std::string& path) = 0;        // file descriptor for sync()
  virtual int64_t size(int fd) = 0;                            // bytes
  virtual int64_t read(int fd, void* data, size_t bytes) = 0;  // bytes read, 0 at the end
  virtual int64_t write(int fd, const void* data, size_t bytes) = 0;
  virtual int sync(int fd) = 0;  // fsync
  virtual int close(int fd) = 0;
  virtual int rename(const std::string& from, const std::string& to) = 0;
  virtual int remove(const std::string& path) = 0;
};

// The file system in use: the real one, unless a test put another in its place.
Fs& fs();

// In its scope fs() is another file system, on every thread. For tests.
class UseFs {
 public:
  explicit UseFs(Fs& replacement);
  ~UseFs();
  UseFs(const UseFs&) = delete;
  UseFs& operator=(const UseFs&) = delete;

 private:
  Fs* before_;
};

// Reads a file from front to back. Throws IoError naming path and reason.
class FileReader {
 public:
  explicit FileReader(const std::string& path);
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  int64_t size() const { return size_; }  // when it was opened
  // Fills data as far as the file goes and returns the bytes read; fewer than asked for only at the end.
  int64_t read(void* data, int64_t bytes);

 private:
  std::string path_;
  int fd_ = -1;
  int64_t size_ = 0;
};

// The whole file; IoError if it cannot be read, DataError if it has more than max_bytes.
std::string read_file(const std::string& path, int64_t max_bytes = int64_t{1} << 32);

// Replaces a file in one step. Without commit() the old file stays and nothing is left behind.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t bytes);
  void write(std::string_view bytes) { write(bytes.data(), bytes.size()); }
  // Makes the new content durable and visible. If only the last step, the flush of the folder, fails, the new
  // file is already in place and the error says that it may not survive a power cut.
  void commit();

 private:
  [[noreturn]] void fail(const char* doing, int64_t error);
  std::string path_;
  std::string temporary_;
  int fd_ = -1;
};

// Keeps other processes that ask for it out of a folder, for as long as it lives. The lock is on the folder
// itself: it leaves no file behind and ends with the process, however that ends. File systems that know no
// locks go without. Throws UsageError if the folder is in use already.
class FolderLock {
 public:
  explicit FolderLock(const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int fd_ = -1;
};

void write_file_atomically(const std::string& path, std::string_view bytes);

// True for names that AtomicFile gives its temporaries: what a killed process left behind may be removed.
bool is_temporary_name(std::string_view file_name);

}  // namespace tern
