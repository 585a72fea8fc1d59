// A run that is stopped, killed, starved or interrupted: it goes on with the same bytes, and nothing is lost.

#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include <nlohmann/json.hpp>

#include "tern/core/allocator.h"
#include "tern/core/error.h"
#include "tern/train/checkpoint.h"
#include "tern/train/signals.h"
#include "tests/support/fault_fs.h"
#include "tests/train/trainer_fixture.h"

extern char** environ;

namespace tern {
namespace {

namespace stdfs = std::filesystem;
using test::Recorder;
using test::TinyPeople;

class LongRecovery : public test::TrainerFixture {};

TEST_F(LongRecovery, StoppedAndResumedIsUninterrupted) {
  struct Case {
    std::string optimizer;
    DType precision;
  };
  for (const auto& [optimizer, precision] :
       {Case{"adamw", DType::F32}, Case{"sgd", DType::F32}, Case{"adamw", DType::BF16}}) {
    TrainOptions options = test::tiny_options(30);
    options.optimizer = optimizer;
    options.precision = precision;
    options.eval_every = 10;
    options.warmup_steps = 4;
    options.clip_norm = 1;
    options.run_directory = concat_text(folder_, "/whole-", optimizer, precision);
    const std::string whole = weights_after(options);

    TrainOptions part = options;
    part.run_directory = concat_text(folder_, "/part-", optimizer, precision);
    int steps = 0;
    part.stop = [&steps] { return ++steps == 17; };
    TrainResult result;
    weights_after(part, &result);
    EXPECT_EQ(result.status, RunStatus::Interrupted);
    EXPECT_EQ(result.steps, 17);
    part.stop = nullptr;
    part.resume = part.run_directory;
    part.workers = 2;
    EXPECT_EQ(weights_after(part, &result), whole);
    EXPECT_EQ(result.status, RunStatus::Finished);
    auto files = test::folder_bytes(options.run_directory + "/checkpoints");
    auto resumed = test::folder_bytes(part.run_directory + "/checkpoints");
    for (const int64_t step : {20, 30}) {
      for (const std::string& path : {weights_path("", step), state_path("", step)}) {
        EXPECT_EQ(files.at(path.substr(1)), resumed.at(path.substr(1))) << path;
      }
    }
  }
}

TEST_F(LongRecovery, ResumedMetricsHaveEachStepOnce) {
  TrainOptions options = test::tiny_options(30);
  options.eval_every = 10;
  options.run_directory = folder_ + "/run";
  int steps = 0;
  options.stop = [&steps] { return ++steps == 17; };
  weights_after(options);
  {
    std::ofstream file(options.run_directory + "/metrics.jsonl", std::ios::app);
    file << R"({"type":"step","step":20,"loss":1})"
         << "\n"
         << R"({"type":"st)";  // as a kill may leave it
  }
  options.stop = nullptr;
  options.resume = options.run_directory;
  weights_after(options);
  std::istringstream lines(test::file_bytes(options.run_directory + "/metrics.jsonl"));
  std::map<std::string, std::vector<int64_t>> found;
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line);
    found[json["type"]].push_back(json["step"]);
  }
  EXPECT_EQ(found["step"], (std::vector<int64_t>{5, 10, 15, 20, 25, 30}));
  EXPECT_EQ(found["evaluation"], (std::vector<int64_t>{10, 17, 20, 30}));
  const auto manifest = nlohmann::json::parse(test::file_bytes(options.run_directory + "/manifest.json"));
  EXPECT_EQ(manifest["status"], "finished");
  EXPECT_EQ(manifest["first_step"], 17);
  EXPECT_NE(test::file_bytes(options.run_directory + "/config.toml").find("margin = 0.2\n"),
            std::string::npos);
}

// Run by the next test in a process of its own, to be killed.
TEST(LongRecoveryChild, Trains) {
  const char* folder = std::getenv("TERN_TEST_TRAIN_IN");
  if (!folder) return;
  TinyPeople people(24, 6), unseen(12, 5, 24);
  auto net = test::tiny_net();
  TrainOptions options = test::tiny_options(60);
  options.eval_every = 5;
  options.keep = 0;
  options.run_directory = folder;
  if (last_checkpoint(options.run_directory + "/checkpoints")) options.resume = folder;
  if (!options.resume.empty() || !stdfs::exists(folder)) Trainer(*net, people, &unseen, options).run();
}

pid_t start_child(const std::string& folder) {
  setenv("TERN_TEST_TRAIN_IN", folder.c_str(), 1);
  const std::string self = stdfs::read_symlink("/proc/self/exe").string();
  std::string filter = "--gtest_filter=LongRecoveryChild.Trains", quiet = "--gtest_brief=1", name = self;
  char* arguments[] = {name.data(), filter.data(), quiet.data(), nullptr};
  pid_t child = -1;
  EXPECT_EQ(posix_spawn(&child, self.c_str(), nullptr, nullptr, arguments, environ), 0);
  unsetenv("TERN_TEST_TRAIN_IN");
  return child;
}

TEST_F(LongRecovery, KilledAndResumedIsUninterrupted) {
  TrainOptions options = test::tiny_options(60);
  options.eval_every = 5;
  options.keep = 0;
  options.run_directory = folder_ + "/whole";
  weights_after(options);
  const auto whole = test::folder_bytes(options.run_directory + "/checkpoints");

  const std::string run = folder_ + "/killed";
  int64_t last = 0;
  int kills = 0;
  for (int round = 0; round < 40 && last < 60; ++round) {
    if (stdfs::exists(run) && !last_checkpoint(run + "/checkpoints")) stdfs::remove_all(run);
    const pid_t child = start_child(run);
    // Killed at some moment after the next checkpoint, which the round shifts.
    for (int wait = 0; wait < 2000; ++wait) {
      const auto now = last_checkpoint(run + "/checkpoints");
      int status;
      if (waitpid(child, &status, WNOHANG) == child) break;
      if (now && now->step > last + 5) {
        usleep(static_cast<useconds_t>(3000 * round));
        ++kills;
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        break;
      }
      usleep(5000);
    }
    const auto now = last_checkpoint(run + "/checkpoints");
    ASSERT_TRUE(now);
    EXPECT_GE(now->step, last);
    last = now->step;
  }
  EXPECT_GE(kills, 2);
  ASSERT_EQ(last, 60);
  auto files = test::folder_bytes(run + "/checkpoints");
  for (const auto& [name, bytes] : whole) EXPECT_EQ(files[name], bytes) << name;
}

TEST_F(LongRecovery, ANumberThatIsNotFiniteIsNamedAndNothingIsLost) {
  auto net = test::tiny_net();
  TrainOptions options = test::tiny_options(20);
  options.eval_every = 5;
  options.run_directory = folder_ + "/run";
  Recorder recorder;
  std::string before;
  recorder.at_step = [&](const StepInfo& info) {
    if (info.step != 8) return;
    net->conv2.weight.mutable_data<float>()[3] = std::numeric_limits<float>::quiet_NaN();
    before = nn::safetensors_bytes(nn::state_dict(*net));
  };
  Trainer trainer(*net, people_, &unseen_, options, &recorder);
  try {
    trainer.run();
    FAIL() << "no error";
  } catch (const NumericError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("step 9"), std::string::npos) << text;
    EXPECT_NE(text.find("conv2d"), std::string::npos) << text;
    EXPECT_NE(text.find("conv2.weight"), std::string::npos) << text;
  }
  EXPECT_EQ(trainer.steps_done(), 8);
  EXPECT_EQ(nn::safetensors_bytes(nn::state_dict(*net)), before);  // running statistics too
  EXPECT_EQ(load_checkpoint(options.run_directory).checkpoint.step, 5);
  for (const Tensor& p : net->parameters()) EXPECT_FALSE(p.grad().defined());
  const auto manifest = nlohmann::json::parse(test::file_bytes(options.run_directory + "/manifest.json"));
  EXPECT_EQ(manifest["status"].get<std::string>().substr(0, 6), "failed");
}

TEST_F(LongRecovery, AStepIsATransactionUnderFailingAllocations) {
  const TrainOptions options = test::tiny_options(4);
  const auto run = [&](bool faults) {
    auto net = test::tiny_net();
    Trainer trainer(*net, people_, nullptr, options);
    trainer.step();
    int failed = 0;
    for (int step = 1; step < 4; ++step) {
      for (int64_t nth = faults ? 1 + step : 0; nth > 0; nth += 5) {
        const std::string before = nn::safetensors_bytes(nn::state_dict(*net));
        fail_allocation_for_test(nth);
        try {
          trainer.step();
          fail_allocation_for_test(0);
          break;
        } catch (const MemoryError&) {
          fail_allocation_for_test(0);
          ++failed;
          EXPECT_EQ(trainer.steps_done(), step);
          EXPECT_EQ(nn::safetensors_bytes(nn::state_dict(*net)), before);
          for (const Tensor& p : net->parameters()) EXPECT_FALSE(p.grad().defined());
        }
      }
      if (!faults) trainer.step();
    }
    EXPECT_EQ(trainer.steps_done(), 4);
    EXPECT_EQ(failed > 20, faults) << failed;
    return nn::safetensors_bytes(nn::state_dict(*net));
  };
  EXPECT_EQ(run(true), run(false));
}

TEST_F(LongRecovery, AFullDiskLeavesTheOldCheckpoint) {
  TrainOptions options = test::tiny_options(20);
  options.eval_every = 5;
  options.run_directory = folder_ + "/run";
  test::FailingFs disk;
  Recorder recorder;
  recorder.at_step = [&](const StepInfo& info) {
    if (info.step == 9) disk.fail("write", 1, ENOSPC, true);
  };
  {
    const UseFs use(disk);
    EXPECT_THROW(weights_after(options, nullptr, &recorder), IoError);
  }
  EXPECT_GT(disk.injected, 0);
  EXPECT_EQ(recorder.checkpoints, (std::vector<int64_t>{5}));
  EXPECT_EQ(load_checkpoint(options.run_directory).checkpoint.step, 5);
  EXPECT_EQ(test::folder_bytes(options.run_directory + "/checkpoints").size(), 2u);  // no temporary left
  TrainResult result;
  options.resume = options.run_directory;
  weights_after(options, &result);
  EXPECT_EQ(result.status, RunStatus::Finished);
}

TEST_F(LongRecovery, ASignalFinishesTheStepAndSaves) {
  TrainOptions options = test::tiny_options(50);
  options.run_directory = folder_ + "/run";
  options.stop = [] { return SignalGuard::received() != 0; };
  Recorder recorder;
  recorder.at_step = [](const StepInfo& info) {
    if (info.step == 7) raise(SIGTERM);
  };
  TrainResult result;
  {
    const SignalGuard guard;
    EXPECT_THROW(SignalGuard(), UsageError);
    weights_after(options, &result, &recorder);
    EXPECT_EQ(SignalGuard::received(), SIGTERM);
  }
  EXPECT_EQ(result.status, RunStatus::Interrupted);
  EXPECT_EQ(result.steps, 7);
  EXPECT_EQ(last_checkpoint(options.run_directory + "/checkpoints")->step, 7);
  EXPECT_EQ(result.last_checkpoint, weights_path(options.run_directory + "/checkpoints", 7));
}

TEST_F(LongRecovery, ASecondSignalEndsTheProcess) {
  EXPECT_EXIT(
      {
        const SignalGuard guard;
        raise(SIGINT);
        raise(SIGTERM);
      },
      testing::KilledBySignal(SIGTERM), "");
}

TEST_F(LongRecovery, ResumeRefusesOtherOptionsNamingBothValues) {
  TrainOptions options = test::tiny_options(10);
  options.run_directory = folder_ + "/run";
  weights_after(options);
  options.resume = options.run_directory;
  options.lr = 0.5;
  try {
    weights_after(options);
    FAIL() << "no error";
  } catch (const UsageError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("lr"), std::string::npos);
    EXPECT_NE(text.find("0.5"), std::string::npos);
    EXPECT_NE(text.find("0.003"), std::string::npos);
  }
}

}  // namespace
}  // namespace tern
