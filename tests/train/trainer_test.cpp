#include "tern/train/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tern/core/allocator.h"
#include "tern/core/error.h"
#include "tern/core/parallel.h"
#include "tern/models/embedder.h"
#include "tern/nn/safetensors.h"
#include "tern/ops/reduce.h"
#include "tern/train/checkpoint.h"
#include "tern/train/evaluation_set.h"
#include "tests/train/trainer_fixture.h"

namespace tern {
namespace {

namespace stdfs = std::filesystem;
using test::Recorder;
using test::TinyPeople;

class LongTrainer : public test::TrainerFixture {};

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

TEST_F(LongTrainer, LearnsInBf16AndWritesF32) {
  auto net = test::tiny_net();
  TrainOptions options = test::tiny_options(120);
  options.precision = DType::BF16;
  options.run_directory = folder_ + "/run";
  const TrainResult result = Trainer(*net, people_, &unseen_, options).run();
  ASSERT_TRUE(result.evaluation);
  EXPECT_GT(result.evaluation->evaluation.auc, 0.9);
  for (const auto& [name, tensor] : nn::load_safetensors(result.last_checkpoint).tensors)
    EXPECT_NE(tensor.dtype(), DType::BF16) << name;
  options.precision = DType::U8;
  EXPECT_THROW(Trainer(*net, people_, &unseen_, options), UsageError);
}

TEST_F(LongTrainer, SameBytesForAnyNumberOfThreadsAndWorkers) {
  const int before = num_threads();
  std::map<std::string, std::string> first;
  for (const DType precision : {DType::BF16, DType::F32}) {
    first.clear();
    for (const int threads : {1, 2, 3, 4}) {
      for (const int workers : {0, 4}) {
        set_num_threads(threads);
        TrainOptions options = test::tiny_options(12);
        options.eval_every = 6;
        options.workers = workers;
        options.precision = precision;
        options.run_directory = concat_text(folder_, "/", threads, "-", workers, precision);
        weights_after(options);
        const auto files = test::folder_bytes(options.run_directory + "/checkpoints");
        EXPECT_EQ(files.size(), 4u);
        if (first.empty()) first = files;
        EXPECT_EQ(files, first) << threads << " threads, " << workers << " workers, " << to_string(precision);
      }
    }
  }
  set_num_threads(before);
  TrainOptions other = test::tiny_options(12);
  other.seed = 2;
  other.run_directory = folder_ + "/other";
  weights_after(other);
  EXPECT_NE(test::folder_bytes(other.run_directory + "/checkpoints"), first);
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
