#include "tern/train/trainer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>

#include <nlohmann/json.hpp>

#include "tern/core/allocator.h"
#include "tern/core/error.h"
#include "tern/core/parallel.h"
#include "tern/models/embedder.h"
#include "tern/nn/state_dict.h"
#include "tern/ops/reduce.h"
#include "tern/train/checkpoint.h"
#include "tern/train/evaluation_set.h"
#include "tern/train/signals.h"
#include "tests/support/fault_fs.h"
#include "tests/train/tiny.h"

extern char** environ;

namespace tern {
namespace {

namespace stdfs = std::filesystem;
using test::TinyPeople;

class LongTrainer : public testing::Test {
 protected:
  void SetUp() override { folder_ = test::scratch_folder(); }
  void TearDown() override { stdfs::remove_all(folder_); }

  // Trains a fresh net; the weights as bytes.
  std::string weights_after(TrainOptions options, TrainResult* result = nullptr,
                            Observer* observer = nullptr) {
    auto net = test::tiny_net();
    Trainer trainer(*net, people_, &unseen_, std::move(options), observer);
    const TrainResult r = trainer.run();
    if (result) *result = r;
    return nn::safetensors_bytes(nn::state_dict(*net));
  }

  TinyPeople people_{24, 6}, unseen_{12, 5, 24};
  std::string folder_;
};

struct Recorder : Observer {
  std::vector<double> losses;
  std::vector<std::string> warnings;
  std::vector<int64_t> evaluations, checkpoints;
  int starts = 0, ends = 0;
  std::function<void(const StepInfo&)> at_step;
  void on_start(const RunInfo&) override { ++starts; }
  void on_step(const StepInfo& info) override {
    losses.push_back(info.loss);
    if (at_step) at_step(info);
  }
  void on_evaluation(const EvaluationInfo& info) override { evaluations.push_back(info.step); }
  void on_checkpoint(const CheckpointInfo& info) override { checkpoints.push_back(info.step); }
  void on_warning(const std::string& text) override { warnings.push_back(text); }
  void on_end(const TrainResult&) override { ++ends; }
};

TEST_F(LongTrainer, LearnsToTellUnseenPeopleApart) {
  auto net = test::tiny_net();
  Recorder recorder;
  TrainOptions options = test::tiny_options(120);
  options.eval_every = 60;
  Trainer trainer(*net, people_, &unseen_, options, &recorder);
  const double before = trainer.evaluate().evaluation.auc;
  const TrainResult result = trainer.run();
  EXPECT_EQ(result.status, RunStatus::Finished);
  EXPECT_EQ(result.steps, 120);
  ASSERT_TRUE(result.evaluation);
  EXPECT_GT(result.evaluation->evaluation.auc, before + 0.05);
  EXPECT_GT(result.evaluation->evaluation.auc, 0.9);
  EXPECT_TRUE(result.evaluation->held_out);
  EXPECT_EQ(recorder.evaluations, (std::vector<int64_t>{60, 120}));
  EXPECT_TRUE(recorder.checkpoints.empty());  // no run directory
  EXPECT_EQ(recorder.losses.size(), 120u);
  EXPECT_EQ(recorder.starts, 1);
  EXPECT_EQ(recorder.ends, 1);
  EXPECT_TRUE(recorder.warnings.empty());
  EXPECT_TRUE(net->training());
}

TEST_F(LongTrainer, SameBytesForAnyNumberOfThreadsAndWorkers) {
  const int before = num_threads();
  std::map<std::string, std::string> first;
  for (const int threads : {1, 2, 3, 4}) {
    for (const int workers : {0, 4}) {
      set_num_threads(threads);
      TrainOptions options = test::tiny_options(12);
      options.eval_every = 6;
      options.workers = workers;
      options.run_directory = concat_text(folder_, "/", threads, "-", workers);
      weights_after(options);
      const auto files = test::folder_bytes(options.run_directory + "/checkpoints");
      EXPECT_EQ(files.size(), 4u);
      if (first.empty()) first = files;
      EXPECT_EQ(files, first) << threads << " threads, " << workers << " workers";
    }
  }
  set_num_threads(before);
  TrainOptions other = test::tiny_options(12);
  other.seed = 2;
  other.run_directory = folder_ + "/other";
  weights_after(other);
  EXPECT_NE(test::folder_bytes(other.run_directory + "/checkpoints"), first);
}

TEST_F(LongTrainer, StoppedAndResumedIsUninterrupted) {
  for (const std::string optimizer : {"adamw", "sgd"}) {
    TrainOptions options = test::tiny_options(30);
    options.optimizer = optimizer;
    options.eval_every = 10;
    options.warmup_steps = 4;
    options.clip_norm = 1;
    options.run_directory = folder_ + "/whole-" + optimizer;
    const std::string whole = weights_after(options);

    TrainOptions part = options;
    part.run_directory = folder_ + "/part-" + optimizer;
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

TEST_F(LongTrainer, ResumedMetricsHaveEachStepOnce) {
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
TEST(LongTrainerChild, Trains) {
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
  std::string filter = "--gtest_filter=LongTrainerChild.Trains", quiet = "--gtest_brief=1", name = self;
  char* arguments[] = {name.data(), filter.data(), quiet.data(), nullptr};
  pid_t child = -1;
  EXPECT_EQ(posix_spawn(&child, self.c_str(), nullptr, nullptr, arguments, environ), 0);
  unsetenv("TERN_TEST_TRAIN_IN");
  return child;
}

TEST_F(LongTrainer, KilledAndResumedIsUninterrupted) {
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

TEST_F(LongTrainer, CollapseIsNamed) {
  const TinyPeople alike(24, 6, 0, true);
  for (const bool soft : {false, true}) {
    auto net = test::tiny_net();
    net->dropout = nn::Dropout({.p = 0});
    Recorder recorder;
    TrainOptions options = test::tiny_options(100);
    options.augment = AugmentOptions::none();
    options.triplet.mining = Mining::BatchHard;
    options.triplet.soft_margin = soft;
    options.stop_on_collapse = true;
    Trainer trainer(*net, alike, nullptr, options, &recorder);
    const TrainResult result = trainer.run();
    EXPECT_EQ(result.status, RunStatus::Collapsed);
    EXPECT_LT(result.steps, 100);
    ASSERT_EQ(recorder.warnings.size(), 1u);
    EXPECT_NE(recorder.warnings[0].find("collapsed"), std::string::npos);
    EXPECT_NE(recorder.warnings[0].find(soft ? "ln 2" : "the margin"), std::string::npos)
        << recorder.warnings[0];
    EXPECT_NE(recorder.warnings[0].find("hint"), std::string::npos);
  }
}

TEST_F(LongTrainer, ANumberThatIsNotFiniteIsNamedAndNothingIsLost) {
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

TEST_F(LongTrainer, AStepIsATransactionUnderFailingAllocations) {
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

TEST_F(LongTrainer, AFullDiskLeavesTheOldCheckpoint) {
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

TEST_F(LongTrainer, ASignalFinishesTheStepAndSaves) {
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

TEST_F(LongTrainer, ASecondSignalEndsTheProcess) {
  EXPECT_EXIT(
      {
        const SignalGuard guard;
        raise(SIGINT);
        raise(SIGTERM);
      },
      testing::KilledBySignal(SIGTERM), "");
}

TEST_F(LongTrainer, CheckpointsAreModelsThatDecide) {
  TrainOptions options = test::tiny_options(3);
  options.preprocess.size = 32;
  options.run_directory = folder_ + "/held-out";
  const auto net = make_model({.size = 32}, 1);
  const TrainResult result = Trainer(*net, people_, &unseen_, options).run();
  const Embedder face = Embedder::load(result.last_checkpoint);
  const ModelCard& card = face.card();
  ASSERT_TRUE(card.rule);
  EXPECT_EQ(card.rule->source, "validation people");
  EXPECT_EQ(card.rule->threshold, result.evaluation->evaluation.calibration.threshold);
  EXPECT_EQ(card.rule->same_pairs, 12 * 10);
  EXPECT_EQ(card.training_margin, 0.2);
  EXPECT_EQ(card.preprocess.size, 32);
  EXPECT_EQ(result.best_metric, result.evaluation->evaluation.auc);
  // The embeddings the threshold was measured on are those of the model in use.
  const EvaluationSet set(unseen_, options.preprocess, 1000, {.seed = 1});
  const Tensor e = set.embed(*net, true);
  const VerifyResult verdict = face.verify(unseen_.load(0), unseen_.load(7));
  EXPECT_NEAR(verdict.distance, embedding_distance(e, 0, 7), 1e-5);

  options.run_directory = folder_ + "/alone";
  const TrainResult alone = Trainer(*net, people_, nullptr, options).run();
  EXPECT_EQ(read_card(alone.last_checkpoint).rule->source, "training people, changed photos");
  // Changed more strongly than in training: the nearest one can come to people that the network never saw.
  const EvaluationSet changed(people_, options.preprocess, 1000,
                              {.seed = options.seed, .augment = options.augment.scaled(1.5)});
  const auto judged = metrics::evaluate(changed.embed(*net, true), changed.identity());
  EXPECT_EQ(alone.evaluation->evaluation.calibration.threshold, judged.calibration.threshold);
  EXPECT_FALSE(alone.best_metric);
  EXPECT_EQ(alone.best_checkpoint, alone.last_checkpoint);
}

TEST_F(LongTrainer, RefusesWhatCannotBe) {
  auto net = test::tiny_net();
  const auto make = [&](TrainOptions o) { Trainer trainer(*net, people_, &unseen_, std::move(o)); };
  const auto with = [&](auto&& change) {
    TrainOptions o = test::tiny_options(5);
    change(o);
    return o;
  };
  EXPECT_THROW(make(with([](TrainOptions& o) { o.lr = std::nan(""); })), UsageError);
  EXPECT_THROW(make(with([](TrainOptions& o) { o.steps = 0; })), UsageError);
  EXPECT_THROW(make(with([](TrainOptions& o) { o.optimizer = "adan"; })), UsageError);
  EXPECT_THROW(make(with([](TrainOptions& o) { o.schedule = "magic"; })), UsageError);
  EXPECT_THROW(make(with([](TrainOptions& o) { o.triplet.margin = -1; })), UsageError);
  EXPECT_THROW(make(with([](TrainOptions& o) { o.resume = "/nowhere"; })), IncompatibleError);
  const TinyPeople shared(12, 5, 20);  // four of the people trained on
  EXPECT_THROW(Trainer(*net, people_, &shared, test::tiny_options(5)), DataError);
  const TinyPeople one(1, 5);
  EXPECT_THROW(Trainer(*net, one, nullptr, test::tiny_options(5)), DataError);
  stdfs::create_directories(folder_ + "/full");
  std::ofstream(folder_ + "/full/something") << "x";
  EXPECT_THROW(make(with([&](TrainOptions& o) { o.run_directory = folder_ + "/full"; })), UsageError);
  EXPECT_EQ(test::folder_bytes(folder_ + "/full").size(), 1u);
}

TEST_F(LongTrainer, ResumeRefusesOtherOptionsNamingBothValues) {
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

TEST_F(LongTrainer, TheMemoryEstimateIsNearWhatAStepTakes) {
  const int before_threads = num_threads();
  set_num_threads(1);  // whether a second thread takes scratch depends on who is quick
  const auto net = make_model({.size = 32}, 1);
  TrainOptions options = test::tiny_options(5);
  options.preprocess.size = 32;
  Trainer trainer(*net, people_, nullptr, options);
  const auto estimate = static_cast<double>(trainer.estimate_step_memory());
  trainer.step();
  reset_peak_memory();
  const int64_t before = memory_stats().in_use;
  trainer.step();
  const auto taken = static_cast<double>(memory_stats().peak_in_use - before);
  EXPECT_GT(estimate, 0.9 * taken);
  EXPECT_LT(estimate, 2 * taken) << taken;  // scratch depends on the build
  set_num_threads(before_threads);
}

TEST_F(LongTrainer, ABatchBeyondTheMemoryIsRefusedBeforeItIsTouched) {
  const TinyPeople crowd(60000, 2);
  auto net = test::tiny_net();
  TrainOptions options = test::tiny_options(5);
  options.p = 60000;
  options.k = 2;
  Trainer trainer(*net, crowd, nullptr, options);
  EXPECT_GT(trainer.estimate_step_memory(), int64_t{100} << 30);  // the loss alone compares 120000^2 pairs
  const int64_t before = memory_stats().in_use;
  EXPECT_THROW(trainer.run(), MemoryError);
  EXPECT_EQ(trainer.steps_done(), 0);
  EXPECT_EQ(memory_stats().in_use, before);
}

TEST_F(LongTrainer, TheContrastiveLossFallsAndTellsUnseenPeopleApart) {
  auto net = test::tiny_net();
  Recorder recorder;
  TrainOptions options = test::tiny_options(60);
  options.loss = "contrastive";
  Trainer trainer(*net, people_, &unseen_, options, &recorder);
  const double before = trainer.evaluate().evaluation.auc;
  const TrainResult result = trainer.run();
  const auto average = [&](size_t from) {
    double sum = 0;
    for (size_t i = from; i < from + 10; ++i) sum += recorder.losses[i];
    return sum / 10;
  };
  EXPECT_LT(average(50), 0.8 * average(0));
  EXPECT_GT(result.evaluation->evaluation.auc, before);
  EXPECT_EQ(recorder.warnings, std::vector<std::string>{});
  options.triplet.soft_margin = true;
  EXPECT_THROW(Trainer(*net, people_, nullptr, options), UsageError);
}

TEST_F(LongTrainer, TakesAnyLoss) {
  auto net = test::tiny_net();
  TrainOptions options = test::tiny_options(3);
  std::vector<int64_t> steps;
  options.custom_loss = [&](const Tensor& e, const Tensor& labels, int64_t step) {
    steps.push_back(step);
    EXPECT_EQ(e.size(0), labels.numel());
    return LossResult{.loss = mean(e * e), .stats = {}};
  };
  Recorder recorder;
  Trainer(*net, people_, nullptr, options, &recorder).run();
  EXPECT_EQ(steps, (std::vector<int64_t>{0, 1, 2}));
  EXPECT_LT(recorder.losses[2], recorder.losses[0]);
}

}  // namespace
}  // namespace tern
