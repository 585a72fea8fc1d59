#pragma once
// File systems with faults, put in place of the real one by UseFs.
//
// FailingFs: the real files, where the n-th call of a kind fails with a chosen errno, and writes and reads
// may be short or interrupted. CrashFs: files in memory that remember what has been flushed; after a
// simulated power cut the un-flushed bytes and folder entries are kept or lost at random.

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tern/core/fs.h"
#include "tern/core/philox.h"

namespace tern::test {

// Decides the fate of each call before it reaches the files below.
class FailingFs : public Fs {
 public:
  // The nth call (1 = the first) of this name ("write", "sync", "rename", ...; "" = any) fails with error;
  // with permanent, all later ones too.
  void fail(std::string call, int nth, int error, bool permanent = false) {
    call_ = std::move(call), nth_ = nth, error_ = error, permanent_ = permanent, seen_ = 0;
  }
  // Reads and writes move 1 .. 7 bytes at a time and are interrupted (EINTR) at random.
  void make_short(uint64_t seed) { noise_ = std::make_unique<PhiloxSequence>(seed, RandomStream::Test, 0); }

  int calls = 0;     // all calls so far
  int injected = 0;  // faults so far: a test must see that its fault happened
  std::map<std::string, int> calls_by_name;

  int open_read(const std::string& path) override {
    return run("open_read", [&] { return below_.open_read(path); });
  }
  int create_new(const std::string& path) override {
    return run("create_new", [&] { return below_.create_new(path); });
  }
  int open_folder(const std::string& path) override {
    return run("open_folder", [&] { return below_.open_folder(path); });
  }
  int64_t size(int fd) override {
    return run("size", [&] { return below_.size(fd); });
  }
  int64_t read(int fd, void* data, size_t bytes) override {
    if (interrupted()) return -EINTR;
    return run("read", [&] { return below_.read(fd, data, shortened(bytes)); });
  }
  int64_t write(int fd, const void* data, size_t bytes) override {
    if (interrupted()) return -EINTR;
    return run("write", [&] { return below_.write(fd, data, shortened(bytes)); });
  }
  int sync(int fd) override {
    return run("sync", [&] { return below_.sync(fd); });
  }
  // Like Linux: the descriptor is gone even if close reports an error.
  int close(int fd) override {
    const int real = below_.close(fd);
    return run("close", [&] { return real; });
  }
  int rename(const std::string& from, const std::string& to) override {
    return run("rename", [&] { return below_.rename(from, to); });
  }
  int remove(const std::string& path) override {
    return run("remove", [&] { return below_.remove(path); });
  }

 private:
  template <class Call>
  auto run(const char* name, Call&& call) -> decltype(call()) {
    ++calls, ++calls_by_name[name];
    if (nth_ > 0 && (call_.empty() || call_ == name)) {
      ++seen_;
      if (seen_ == nth_ || (permanent_ && seen_ > nth_)) {
        ++injected;
        return -error_;
      }
    }
    return call();
  }
  bool interrupted() {
    if (!noise_ || noise_->below(4) != 0) return false;
    ++injected;
    return true;
  }
  size_t shortened(size_t bytes) {
    return noise_ && bytes > 0 ? std::min<size_t>(bytes, 1 + noise_->below(7)) : bytes;
  }

  Fs& below_ = fs();
  std::string call_;
  int nth_ = 0, error_ = 0, seen_ = 0;
  bool permanent_ = false;
  std::unique_ptr<PhiloxSequence> noise_;
};

class CrashFs final : public Fs {
 public:
  int crash_at = 0;  // this call (1 = the first) and all later ones do not happen; 0: never
  int calls = 0;

  int open_read(const std::string& path) override {
    if (const int dead = step()) return dead;
    const auto found = entries_.find(path);
    return found == entries_.end() ? -ENOENT : open(found->second, "");
  }
  int create_new(const std::string& path) override {
    if (const int dead = step()) return dead;
    if (entries_.contains(path)) return -EEXIST;
    auto file = std::make_shared<File>();
    change({path, file});
    return open(file, "");
  }
  int open_folder(const std::string& path) override {
    if (const int dead = step()) return dead;
    return open(nullptr, path);
  }
  int64_t size(int fd) override {
    if (const int dead = step()) return dead;
    return static_cast<int64_t>(open_.at(fd).file->now.size());
  }
  int64_t read(int fd, void* data, size_t bytes) override {
    if (const int dead = step()) return dead;
    Open& o = open_.at(fd);
    const size_t n = std::min(bytes, o.file->now.size() - o.position);
    std::memcpy(data, o.file->now.data() + o.position, n);
    o.position += n;
    return static_cast<int64_t>(n);
  }
  // Takes half of a long write, so that a crash can fall between two pieces of one buffer.
  int64_t write(int fd, const void* data, size_t bytes) override {
    if (const int dead = step()) return dead;
    const size_t n = bytes > 64 ? bytes / 2 : bytes;
    open_.at(fd).file->now.append(static_cast<const char*>(data), n);
    return static_cast<int64_t>(n);
  }
  int sync(int fd) override {
    if (const int dead = step()) return dead;
    Open& o = open_.at(fd);
    if (o.file) o.file->flushed = o.file->now;
    else pending_.clear(), durable_ = entries_;
    return 0;
  }
  int close(int fd) override {
    open_.erase(fd);
    return step();
  }
  int rename(const std::string& from, const std::string& to) override {
    if (const int dead = step()) return dead;
    const auto found = entries_.find(from);
    if (found == entries_.end()) return -ENOENT;
    change({to, found->second, from});
    return 0;
  }
  int remove(const std::string& path) override {
    if (const int dead = step()) return dead;
    if (!entries_.contains(path)) return -ENOENT;
    change({path, nullptr});
    return 0;
  }

  // Power comes back. Each un-flushed change of a folder happened or not, each un-flushed tail of a file is
  // kept, cut, or reads as zeros.
  void recover(uint64_t seed) {
    PhiloxSequence dice(seed, RandomStream::Test, 1);
    for (const Change& change : pending_) {
      if (dice.below(2) == 0) apply(durable_, change);
    }
    entries_ = durable_;
    for (auto& [path, file] : entries_) {
      const std::string& old = file->flushed;
      if (file->now.size() > old.size()) {
        std::string kept = file->now.substr(
            0, old.size() + dice.below(static_cast<uint32_t>(file->now.size() - old.size() + 1)));
        if (dice.below(3) == 0) std::fill(kept.begin() + static_cast<int64_t>(old.size()), kept.end(), '\0');
        file->now = kept;
      }
      file->flushed = file->now;
    }
    durable_ = entries_;
    pending_.clear();
    open_.clear();
    crash_at = calls = 0;
    dead_ = false;
  }

  std::vector<std::string> paths() const {
    std::vector<std::string> all;
    for (const auto& [path, file] : entries_) all.push_back(path);
    return all;
  }

 private:
  struct File {
    std::string now, flushed;
  };
  struct Open {
    std::shared_ptr<File> file;  // null for a folder
    std::string folder;
    size_t position = 0;
  };
  struct Change {
    std::string path;
    std::shared_ptr<File> file;  // null: the entry goes
    std::string moved_from;
  };
  using Entries = std::map<std::string, std::shared_ptr<File>>;

  int step() {
    if (dead_) return -EIO;
    ++calls;
    if (crash_at == 0 || calls < crash_at) return 0;
    dead_ = true;
    return -EIO;
  }
  int open(std::shared_ptr<File> file, std::string folder) {
    open_[next_fd_] = {std::move(file), std::move(folder), 0};
    return next_fd_++;
  }
  static void apply(Entries& entries, const Change& change) {
    if (!change.moved_from.empty()) entries.erase(change.moved_from);
    if (change.file) entries[change.path] = change.file;
    else entries.erase(change.path);
  }
  void change(Change change) {
    apply(entries_, change);
    pending_.push_back(std::move(change));
  }

  Entries entries_, durable_;
  std::vector<Change> pending_;
  std::map<int, Open> open_;
  int next_fd_ = 3;
  bool dead_ = false;
};

}  // namespace tern::test
