#include "tern/core/fs.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "tern/core/error.h"
#include "tests/support/fault_fs.h"

namespace tern {
namespace {

namespace stdfs = std::filesystem;
using test::CrashFs;
using test::FailingFs;

class FsTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = stdfs::temp_directory_path() / ("tern_fs_" + std::to_string(::getpid()) + "_" +
                                              testing::UnitTest::GetInstance()->current_test_info()->name());
    stdfs::create_directories(folder_);
    path_ = (folder_ / "model.bin").string();
  }
  void TearDown() override { stdfs::remove_all(folder_); }
  // Only the target may be in the folder: no temporary left behind.
  void expect_clean() {
    for (const auto& entry : stdfs::directory_iterator(folder_))
      EXPECT_EQ(entry.path().filename(), "model.bin");
  }
  static std::string message(const std::function<void()>& body) {
    try {
      body();
    } catch (const IoError& error) {
      return error.what();
    }
    ADD_FAILURE() << "no IoError";
    return "";
  }
  stdfs::path folder_;
  std::string path_;
};

const std::string kOld = "old content";
const std::string kNew(3000, 'n');

TEST_F(FsTest, WritesAndReadsBack) {
  write_file_atomically(path_, kOld);
  EXPECT_EQ(read_file(path_), kOld);
  write_file_atomically(path_, kNew);
  EXPECT_EQ(read_file(path_), kNew);
  write_file_atomically(path_, "");
  EXPECT_EQ(read_file(path_), "");
  expect_clean();
}

TEST_F(FsTest, WithoutCommitTheOldFileStays) {
  write_file_atomically(path_, kOld);
  {
    AtomicFile file(path_);
    file.write(kNew);
  }
  EXPECT_EQ(read_file(path_), kOld);
  expect_clean();
}

TEST_F(FsTest, ErrorsNamePathAndReason) {
  const std::string text = message([&] { read_file(path_); });
  EXPECT_NE(text.find("model.bin"), std::string::npos) << text;
  EXPECT_NE(text.find("No such file"), std::string::npos) << text;
  EXPECT_NE(message([&] { read_file(folder_.string()); }).find("directory"), std::string::npos);
  EXPECT_THROW(write_file_atomically((folder_ / "none" / "x").string(), kOld), IoError);
  write_file_atomically(path_, kNew);
  EXPECT_THROW(read_file(path_, 100), DataError);
  const std::string evil = message([&] { read_file("/nonexistent/\x1b[2J"); });
  EXPECT_EQ(evil.find('\x1b'), std::string::npos) << "terminal injection";
}

TEST_F(FsTest, ShortAndInterruptedCallsChangeNothing) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    FailingFs noisy;
    noisy.make_short(seed);
    {
      UseFs use(noisy);
      write_file_atomically(path_, kNew);
      EXPECT_EQ(read_file(path_), kNew);
    }
    EXPECT_EQ(read_file(path_), kNew);
    EXPECT_GT(noisy.injected, 100);
  }
}

// Every call of one save fails in turn, with several reasons: the old file stays (or, once renamed, the new
// one is there), the error is an IoError, and nothing is left behind.
TEST_F(FsTest, EveryCallFailsInTurn) {
  FailingFs counting;
  {
    UseFs use(counting);
    write_file_atomically(path_, kOld);
  }
  ASSERT_GE(counting.calls, 7);
  for (int error : {ENOSPC, EIO, EFBIG, EDQUOT}) {
    for (int nth = 1; nth <= counting.calls; ++nth) {
      write_file_atomically(path_, kOld);
      FailingFs failing;
      failing.fail("", nth, error);
      bool failed = false;
      try {
        UseFs use(failing);
        write_file_atomically(path_, kNew);
      } catch (const IoError&) {
        failed = true;
      }
      EXPECT_EQ(failing.injected, 1) << "call " << nth;
      const bool renamed = nth > 6;  // create, write, sync, close, open_folder, rename, sync, close
      EXPECT_EQ(read_file(path_), renamed ? kNew : kOld) << "call " << nth;
      // The last call closes the folder: nothing depends on it any more.
      EXPECT_EQ(failed, nth < counting.calls) << "call " << nth;
      expect_clean();
    }
  }
}

TEST_F(FsTest, SyncIsNeverRetried) {
  write_file_atomically(path_, kOld);
  for (int nth : {1, 2}) {
    for (int error : {EIO, EINTR}) {
      FailingFs failing;
      failing.fail("sync", nth, error);
      UseFs use(failing);
      EXPECT_THROW(write_file_atomically(path_, kNew), IoError);
      EXPECT_EQ(failing.calls_by_name["sync"], nth);
    }
  }
  expect_clean();
}

TEST_F(FsTest, FullDiskFromSomeWriteOn) {
  write_file_atomically(path_, kOld);
  FailingFs full;
  full.fail("write", 1, ENOSPC, true);
  UseFs use(full);
  const std::string text = message([&] { write_file_atomically(path_, kNew); });
  EXPECT_NE(text.find("No space left"), std::string::npos) << text;
  EXPECT_EQ(read_file(path_), kOld);
  expect_clean();
}

TEST_F(FsTest, AFolderIsLockedOnceAndFreeAgainAfterwards) {
  {
    const FolderLock lock(folder_.string());
    try {
      const FolderLock second(folder_.string());
      ADD_FAILURE() << "locked twice";
    } catch (const UsageError& error) {
      EXPECT_NE(std::string(error.what()).find("in use by another process"), std::string::npos);
      EXPECT_NE(std::string(error.what()).find(folder_.filename().string()), std::string::npos);
    }
  }
  EXPECT_NO_THROW(FolderLock(folder_.string()));
  EXPECT_TRUE(stdfs::is_empty(folder_));
}

TEST_F(FsTest, AStaleTemporaryOfADeadProcessIsNoObstacle) {
  write_file_atomically(path_, kOld);
  FailingFs busy;
  busy.fail("create_new", 1, EEXIST);
  UseFs use(busy);
  write_file_atomically(path_, kNew);
  EXPECT_EQ(read_file(path_), kNew);
  EXPECT_EQ(busy.calls_by_name["create_new"], 2);
}

TEST(FsNames, Temporary) {
  EXPECT_TRUE(is_temporary_name(".tern-123-4.tmp"));
  EXPECT_FALSE(is_temporary_name("model.safetensors"));
  EXPECT_FALSE(is_temporary_name(".tern-.tmp"));
}

// The power fails at every call of the second of two saves, with many outcomes each: what is read afterwards
// is the old content or the new one, whole; after a save that returned, it is the new one.
TEST(CrashFs, OldOrNewNeverAMixture) {
  CrashFs measure;
  int calls = 0;
  {
    UseFs use(measure);
    write_file_atomically("d/m", kOld);
    const int before = measure.calls;
    write_file_atomically("d/m", kNew);
    calls = measure.calls - before;
  }
  int old_seen = 0, new_seen = 0;
  for (int at = 1; at <= calls + 1; ++at) {
    for (uint64_t seed = 0; seed < 40; ++seed) {
      CrashFs crash;
      UseFs use(crash);
      write_file_atomically("d/m", kOld);
      crash.crash_at = crash.calls + at;
      bool acknowledged = true;
      try {
        write_file_atomically("d/m", kNew);
      } catch (const IoError&) {
        acknowledged = false;
      }
      crash.recover(seed);
      const std::string content = read_file("d/m");
      EXPECT_TRUE(content == kOld || content == kNew) << "crash at call " << at << ", seed " << seed;
      EXPECT_TRUE(!acknowledged || content == kNew) << "an acknowledged save was lost";
      (content == kOld ? old_seen : new_seen)++;
    }
  }
  EXPECT_GT(old_seen, 0);
  EXPECT_GT(new_seen, 0);
}

// The simulation must be able to lose data, or the test above shows nothing: a save without flushes is
// caught.
TEST(CrashFs, CatchesAWriterThatDoesNotFlush) {
  int damaged = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    CrashFs crash;
    UseFs use(crash);
    write_file_atomically("d/m", kOld);
    const int fd = crash.create_new("d/t");
    for (size_t done = 0; done < kNew.size();) {
      done += static_cast<size_t>(crash.write(fd, kNew.data() + done, kNew.size() - done));
    }
    crash.close(fd);
    crash.rename("d/t", "d/m");
    crash.recover(seed);
    const std::string content = read_file("d/m");
    damaged += content != kOld && content != kNew;
  }
  EXPECT_GT(damaged, 0);
}

}  // namespace
}  // namespace tern
