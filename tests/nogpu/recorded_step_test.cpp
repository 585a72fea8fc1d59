// Training steps recorded as a graph against the same steps issued one by one: the same bits, whatever comes
// in between, and the same state after a step that is not finite.

#include "tern/train/recorded_step.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "tern/core/allocator.h"
#include "tern/nn/state_dict.h"
#include "tern/ops/creation.h"
#include "tern/ops/cross_entropy.h"
#include "tern/tests/nogpu/cudart.h"
#include "tern/tests/nogpu/library_test.h"
#include "tern/tests/nogpu/parity.h"
#include "tern/tests/train/tiny.h"
#include "tern/train/trainer.h"
#include "tern/train/training_step.h"

namespace tern::test {
namespace {

class NoGpuRecordedStep : public nogpu::CudnnTest {};

constexpr int64_t kSide = 16;

StepBatch batch_of(int64_t photos, uint64_t seed) {
  std::vector<AugmentRow> rows(static_cast<size_t>(photos), identity_augment_row(kSide, kSide, kSide));
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < photos; ++i) labels.push_back(i / 3);
  return {random_ints({photos, kSide, kSide, 3}, DType::U8, seed, 0, 255), augment_table(rows),
          Tensor::from_data(std::span<const int64_t>(labels), {photos})};
}

// Everything that a run leaves behind.
struct Course {
  std::vector<double> losses, norms;
  std::vector<int64_t> active;
  std::vector<std::string> notices, errors;
  nn::TensorMap weights;
  std::map<std::string, Tensor> state;
  int64_t replayed = 0;  // steps that went on alone
};

void expect_same_course(const Course& a, const Course& b) {
  EXPECT_EQ(a.losses, b.losses);
  EXPECT_EQ(a.norms, b.norms);
  EXPECT_EQ(a.active, b.active);
  for (const auto& [name, tensor] : a.weights) {
    SCOPED_TRACE(name);
    expect_equal_bits(b.weights.at(name), tensor);
  }
  for (const auto& [name, tensor] : a.state) {
    SCOPED_TRACE(name);
    expect_equal_bits(b.state.at(name), tensor);
  }
}

struct Experiment {
  TrainOptions options = [] {
    TrainOptions o = tiny_options(12);
    o.device = kCuda;
    o.preprocess.size = kSide;
    return o;
  }();
  bool graph = true;
  std::function<StepBatch(int64_t)> batch = [](int64_t step) {
    return batch_of(12, static_cast<uint64_t>(step + 1));
  };
  int64_t ahead = Trainer::kAhead;
  std::function<void(int64_t step)> before_step = [](int64_t) {};

  Course operator()() const;
};

// Steps as the Trainer makes them.
Course Experiment::operator()() const {
  const auto net = tiny_net();
  net->to(kCuda);
  net->train();
  const auto optimizer = make_optimizer(*net, options);
  const nn::Schedule schedule = make_schedule(options);
  TrainingStep steps(*net, *optimizer, make_loss(options), {kCuda, {.size = kSide}, graph});
  Course course;
  int64_t running = 0;
  const auto finish = [&] {
    try {
      const StepOutcome outcome = steps.finish();
      course.losses.push_back(outcome.loss);
      course.norms.push_back(outcome.grad_norm);
      course.active.push_back(outcome.stats().active);
      --running;
    } catch (const NumericError& error) {
      course.errors.push_back(error.what());
      running = 0;
    }
  };
  for (int64_t step = 0; step < options.steps; ++step) {
    const StepBatch photos = batch(step);
    const bool alone = steps.goes_on_alone(photos);
    while (running > 0 && !alone) finish();
    before_step(step);
    optimizer->set_lr(schedule.at(step));
    try {
      steps.start(photos, step);
    } catch (const NumericError& error) {
      course.errors.push_back(error.what());
      continue;
    }
    course.replayed += steps.over() ? 0 : 1;
    if (const auto notice = steps.take_notice()) course.notices.push_back(*notice);
    for (++running; running > 0 && (steps.over() || running > ahead);) finish();
  }
  while (running > 0) finish();
  course.weights = nn::state_dict(*net);
  course.state = optimizer->state();
  return course;
}

StepBatch with_a_partial_batch(int64_t step) {
  return batch_of(step == 6 ? 7 : 12, static_cast<uint64_t>(step + 1));
}

struct Training {
  std::string optimizer;
  Mining mining;
  double clip_norm;
};
class NoGpuRecordedTraining : public NoGpuRecordedStep, public testing::WithParamInterface<Training> {};

TEST_P(NoGpuRecordedTraining, GivesTheBitsOfStepsIssuedOneByOne) {
  Experiment run;
  run.options.optimizer = GetParam().optimizer;
  run.options.triplet.mining = GetParam().mining;
  run.options.clip_norm = GetParam().clip_norm;
  run.batch = with_a_partial_batch;
  run.graph = false;
  const Course one_by_one = run();
  EXPECT_EQ(one_by_one.replayed, 0);
  run.graph = true;
  const Course recorded = run();
  EXPECT_EQ(recorded.notices, std::vector<std::string>{});
  EXPECT_EQ(recorded.replayed, 8);  // all but the first three and the partial one
  EXPECT_EQ(one_by_one.losses.size(), 12u);
  expect_same_course(one_by_one, recorded);
}

INSTANTIATE_TEST_SUITE_P(
    , NoGpuRecordedTraining,
    testing::Values(Training{"sgd", Mining::BatchHard, 0.5}, Training{"adamw", Mining::DistanceWeighted, 0.5},
                    Training{"sgd", Mining::RandomViolator, 0}, Training{"adamw", Mining::BatchAll, 1}),
    [](const auto& info) { return info.param.optimizer + "_" + std::string(to_string(info.param.mining)); });

// The host goes on while steps are under way, and asks for no memory.
TEST_F(NoGpuRecordedStep, AReplayWaitsForNothing) {
  Experiment run;
  run.options.steps = 10;
  int64_t queued = 0, asked = 0;
  run.before_step = [&](int64_t step) {
    if (step == 5) queued = nogpu::queued_operations(), asked = nogpu::cuda_mallocs();
    if (step == 6) {
      EXPECT_GT(nogpu::queued_operations(), queued);
    }
    if (step == 9) {
      EXPECT_EQ(nogpu::cuda_mallocs(), asked);
    }
  };
  EXPECT_EQ(run().replayed, 7);
}

// ---- what is not finite ----

// A label that is not there gives a loss of NaN.
LossFunction classes_loss() {
  return [](const Tensor& embeddings, const Tensor& labels, int64_t) {
    return LossResult{cross_entropy(embeddings, labels), {}};
  };
}
StepBatch poisoned(int64_t step, int64_t bad) {
  StepBatch batch = batch_of(12, static_cast<uint64_t>(step + 1));
  if (step == bad) batch.labels = full({12}, -5, {DType::I64});
  return batch;
}

TEST_F(NoGpuRecordedStep, AStepThatIsNotFiniteIsTakenBackWithThoseAfterIt) {
  for (const std::string optimizer : {"sgd", "adamw"}) {
    SCOPED_TRACE(optimizer);
    constexpr int64_t kBad = 7;
    Experiment run;
    run.options.optimizer = optimizer;
    run.options.custom_loss = classes_loss();
    run.options.steps = 10;  // two more are under way when it is found
    run.batch = [](int64_t step) { return poisoned(step, kBad); };
    // The same learning rates.
    run.options.schedule = "constant";
    Experiment until = run;
    until.options.steps = kBad;
    const Course expected = until(), got = run();
    ASSERT_EQ(got.errors.size(), 1u);
    EXPECT_NE(got.errors[0].find("train: step 8: "), std::string::npos) << got.errors[0];
    EXPECT_NE(got.errors[0].find(": the output ["), std::string::npos) << got.errors[0];
    expect_same_course(expected, got);
  }
}

// Going on after it gives what the steps one by one give, where the bad step is refused at once.
TEST_F(NoGpuRecordedStep, TrainingGoesOnAfterAStepThatIsNotFinite) {
  Experiment run;
  run.options.custom_loss = classes_loss();
  run.options.schedule = "constant";
  run.batch = [](int64_t step) { return poisoned(step, 8); };
  run.ahead = 0;
  run.graph = false;
  const Course one_by_one = run();
  run.graph = true;
  const Course recorded = run();
  EXPECT_EQ(one_by_one.errors.size(), 1u);
  EXPECT_EQ(recorded.errors.size(), 1u);
  EXPECT_EQ(recorded.losses.size(), 11u);
  expect_same_course(one_by_one, recorded);
}

// ---- what cannot be recorded ----

TEST_F(NoGpuRecordedStep, ALossThatWaitsIsTrainedOneByOneWithANotice) {
  Experiment run;
  run.options.custom_loss = [](const Tensor& embeddings, const Tensor& labels, int64_t) {
    const Tensor loss = cross_entropy(embeddings, labels);
    EXPECT_TRUE(std::isfinite(loss.item()));
    return LossResult{loss, {}};
  };
  run.graph = false;
  const Course one_by_one = run();
  run.graph = true;
  const Course recorded = run();
  EXPECT_EQ(recorded.replayed, 0);
  ASSERT_EQ(recorded.notices.size(), 1u);
  EXPECT_NE(recorded.notices[0].find("not recorded"), std::string::npos);
  EXPECT_NE(recorded.notices[0].find("the host waits"), std::string::npos) << recorded.notices[0];
  expect_same_course(one_by_one, recorded);
}

TEST_F(NoGpuRecordedStep, ARecordingWithoutMemoryIsTrainedOneByOneWithANotice) {
  Experiment run;
  run.graph = false;
  const Course one_by_one = run();
  run.graph = true;
  run.before_step = [](int64_t step) {
    if (step == 3) fail_allocation_for_test(30);
  };
  const Course recorded = run();
  fail_allocation_for_test(0);
  EXPECT_EQ(recorded.replayed, 0);
  ASSERT_EQ(recorded.notices.size(), 1u);
  expect_same_course(one_by_one, recorded);
}

// ---- the Trainer ----

struct Seen : Observer {
  std::vector<int64_t> steps, evaluated_after;
  std::vector<double> numbers;
  std::vector<std::string> warnings;
  void on_step(const StepInfo& info) override {
    steps.push_back(info.step);
    numbers.insert(numbers.end(), {info.loss, info.grad_norm, info.lr,
                                   static_cast<double>(info.stats().terms), info.stats().d_an.median});
  }
  void on_evaluation(const EvaluationInfo& info) override {
    EXPECT_EQ(info.step, steps.empty() ? 0 : steps.back());  // every step before it has been told
    evaluated_after.push_back(info.step);
  }
  void on_warning(const std::string& text) override { warnings.push_back(text); }
};

TEST_F(NoGpuRecordedStep, TheTrainerTellsTheSameAndLeavesTheSameFiles) {
  const std::string folder = scratch_folder();
  const TinyPeople people(6, 4), unseen(4, 3, 6);
  Seen seen[2];
  for (const bool graph : {false, true}) {
    TrainOptions options = tiny_options(11);
    options.p = 4, options.k = 2;
    options.device = kCuda;
    options.graph = graph;
    options.eval_every = 7;
    options.run_directory = folder + (graph ? "/1" : "/0");
    const auto net = tiny_net();
    const TrainResult result = Trainer(*net, people, &unseen, options, &seen[graph]).run();
    EXPECT_EQ(result.status, RunStatus::Finished);
    EXPECT_EQ(result.steps, 11);
  }
  EXPECT_EQ(seen[0].steps, seen[1].steps);
  EXPECT_EQ(seen[0].numbers, seen[1].numbers);
  EXPECT_EQ(seen[1].evaluated_after, (std::vector<int64_t>{7, 11}));
  EXPECT_EQ(seen[1].warnings, std::vector<std::string>{});
  const auto eager = folder_bytes(folder + "/0/checkpoints"),
             recorded = folder_bytes(folder + "/1/checkpoints");
  EXPECT_EQ(eager.size(), 4u);
  EXPECT_EQ(eager, recorded);
  std::filesystem::remove_all(folder);
}

// As on the CPU: the run ends with the step's number, and goes on from the step before.
TEST_F(NoGpuRecordedStep, TheTrainerThrowsTheStepThatWasNotFinite) {
  const TinyPeople people(6, 4);
  TrainOptions options = tiny_options(12);
  options.p = 4, options.k = 2;
  options.device = kCuda;
  options.graph = true;
  bool poison = true;
  // The recorded loss reads the poison from memory, as it must.
  Tensor factor = full({}, 1).to(kCuda);
  options.custom_loss = [factor](const Tensor& embeddings, const Tensor& labels, int64_t) {
    return LossResult{cross_entropy(embeddings * factor, labels), {}};
  };
  int64_t step = 0;
  options.stop = [&] {
    if (++step == 7 && poison) factor.fill(std::numeric_limits<double>::quiet_NaN());
    return false;
  };
  const auto net = tiny_net();
  Trainer trainer(*net, people, nullptr, options);
  expect_error<NumericError>([&] { trainer.run(); }, {"train: step 8: "});
  EXPECT_EQ(trainer.steps_done(), 7);
  for (const auto& [name, tensor] : nn::state_dict(*net))
    for (const double value : tensor.to_vector()) ASSERT_TRUE(std::isfinite(value)) << name;
  factor.fill(1);
  poison = false;
  EXPECT_EQ(trainer.run().status, RunStatus::Finished);
  EXPECT_EQ(trainer.steps_done(), 12);
}

}  // namespace
}  // namespace tern::test
