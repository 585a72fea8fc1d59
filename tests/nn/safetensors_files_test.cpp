// Safetensors files on a disk that fails, fills up, or loses power.

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <functional>

#include "tern/core/fs.h"
#include "tern/nn/safetensors.h"
#include "tests/nn/safetensors_support.h"
#include "tests/support/fault_fs.h"

namespace tern::nn {
namespace {

namespace stdfs = std::filesystem;

class SafetensorsFiles : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = stdfs::temp_directory_path() / ("tern_safetensors_" + std::to_string(::getpid()) + "_" +
                                              testing::UnitTest::GetInstance()->current_test_info()->name());
    stdfs::create_directories(folder_);
    path_ = (folder_ / "m.safetensors").string();
  }
  void TearDown() override { stdfs::remove_all(folder_); }
  stdfs::path folder_;
  std::string path_;
};

TEST_F(SafetensorsFiles, SaveIsAtomicUnderEveryFault) {
  const TensorMap old_tensors{{"w", Tensor::from_data(std::vector<float>{1, 2}, {2})}};
  test::FailingFs counting;
  {
    UseFs use(counting);
    save_safetensors(path_, sample());
  }
  for (int error : {ENOSPC, EIO}) {
    for (int nth = 1; nth < counting.calls; ++nth) {
      save_safetensors(path_, old_tensors);
      test::FailingFs failing;
      failing.fail("", nth, error);
      {
        UseFs use(failing);
        EXPECT_THROW(save_safetensors(path_, sample()), IoError);
      }
      EXPECT_EQ(failing.injected, 1);
      const bool renamed = nth == counting.calls - 1;  // the flush of the folder comes after the rename
      expect_same(renamed ? sample() : old_tensors, load_safetensors(path_).tensors);
      EXPECT_EQ(std::distance(stdfs::directory_iterator(folder_), {}), 1) << "a temporary was left behind";
    }
  }
}

TEST_F(SafetensorsFiles, ShortWritesAndReadsGiveTheSameBytes) {
  test::FailingFs noisy;
  noisy.make_short(3);
  UseFs use(noisy);
  save_safetensors(path_, sample());
  EXPECT_EQ(read_file(path_), safetensors_bytes(sample()));
  expect_same(sample(), load_safetensors(path_).tensors);
  EXPECT_GT(noisy.injected, 10);
}

TEST_F(SafetensorsFiles, ErrorsOfTheSystemAreIoErrors) {
  EXPECT_THROW(load_safetensors(path_), IoError);
  EXPECT_THROW(load_safetensors(folder_.string()), IoError);
  save_safetensors(path_, sample());
  test::FailingFs failing;
  failing.fail("read", 2, EIO);
  UseFs use(failing);
  EXPECT_THROW(load_safetensors(path_), IoError);
}

// The file shrinks after its size was read: an error, no crash.
TEST_F(SafetensorsFiles, ChangedWhileItIsRead) {
  struct Shrinking final : test::FailingFs {
    int64_t size(int fd) override { return FailingFs::size(fd) + 8; }
  } shrinking;
  const std::string json = R"({"x":{"dtype":"U8","shape":[16],"data_offsets":[0,16]}})";
  write_file_atomically(path_, with_length(json, std::string(8, 'x')));
  UseFs use(shrinking);
  EXPECT_THROW(load_safetensors(path_), IncompatibleError);
}

// The process is killed at the nth call of a save.
class KillingFs final : public test::FailingFs {
 public:
  explicit KillingFs(int nth) : nth_(nth) {}
  int create_new(const std::string& path) override { return step(), FailingFs::create_new(path); }
  int open_folder(const std::string& path) override { return step(), FailingFs::open_folder(path); }
  int64_t write(int fd, const void* data, size_t bytes) override {
    step();
    return FailingFs::write(fd, data, std::min<size_t>(bytes, 512));  // several calls for one buffer
  }
  int sync(int fd) override { return step(), FailingFs::sync(fd); }
  int close(int fd) override { return step(), FailingFs::close(fd); }
  int rename(const std::string& from, const std::string& to) override {
    return step(), FailingFs::rename(from, to);
  }

 private:
  void step() {
    if (--nth_ == 0) ::raise(SIGKILL);
  }
  int nth_;
};

// Runs body in a child process and returns how it ended, as waitpid says.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

TEST_F(SafetensorsFiles, KilledAtEveryCallOldOrNewLoads) {
  const TensorMap old_tensors{{"w", Tensor::from_data(std::vector<float>{1, 2}, {2})}};
  const TensorMap new_tensors = sample();
  int killed = 0;
  for (int nth = 1;; ++nth) {
    save_safetensors(path_, old_tensors);
    const int status = in_child([&] {
      KillingFs killing(nth);
      UseFs use(killing);
      save_safetensors(path_, new_tensors);
      return 0;
    });
    const size_t found = load_safetensors(path_).tensors.size();
    EXPECT_TRUE(found == old_tensors.size() || found == new_tensors.size());
    for (const auto& file : stdfs::directory_iterator(folder_)) {
      const std::string name = file.path().filename();
      EXPECT_TRUE(name == "m.safetensors" || is_temporary_name(name)) << name;
    }
    if (WIFEXITED(status)) break;
    EXPECT_EQ(WTERMSIG(status), SIGKILL);
    ++killed;
  }
  EXPECT_GE(killed, 8);
}

// The process may not write files beyond a size (EFBIG): an IoError, the old file intact.
TEST_F(SafetensorsFiles, FileSizeLimit) {
  const TensorMap old_tensors{{"w", Tensor::from_data(std::vector<float>{1, 2}, {2})}};
  save_safetensors(path_, old_tensors);
  const TensorMap large{{"w", Tensor::from_data(std::vector<float>(50000, 1.0f), {50000})}};
  const int status = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100000, 100000};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    try {
      save_safetensors(path_, large);
    } catch (const IoError& error) {
      return std::string_view(error.what()).find("large") != std::string_view::npos ? 0 : 3;
    }
    return 1;
  });
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  expect_same(old_tensors, load_safetensors(path_).tensors);
  EXPECT_EQ(std::distance(stdfs::directory_iterator(folder_), {}), 1) << "a temporary was left behind";
}

TEST(SafetensorsCrash, OldOrNewAfterAPowerCut) {
  const TensorMap old_tensors{{"w", Tensor::from_data(std::vector<float>{1, 2}, {2})}};
  for (int at = 1; at < 40; ++at) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      test::CrashFs crash;
      UseFs use(crash);
      save_safetensors("d/m", old_tensors);
      crash.crash_at = crash.calls + at;
      bool acknowledged = true;
      try {
        save_safetensors("d/m", sample());
      } catch (const IoError&) {
        acknowledged = false;
      }
      crash.recover(seed);
      const TensorMap found = load_safetensors("d/m").tensors;
      EXPECT_TRUE(found.size() == sample().size() || (found.size() == 1 && !acknowledged));
    }
  }
}

}  // namespace
}  // namespace tern::nn
