#pragma once
// A training step recorded once and replayed (core/device_step.h): on a GPU, one graph of some hundred
// launches in place of the launches. The host sends the batch and what changes from step to step, launches
// the graph, and goes on: loss, gradient norm and statistics are read some steps later.
//
//   before the graph   the batch; the optimizer's rules (learning rate, corrections); the number of the step
//   in the graph       copy of the batch norms' statistics; augmentation, network, loss, backward; norm,
//                      judgement, update
//   behind it          loss, norm and statistics on their way to the host
//
// A step whose loss or gradient is not finite changes nothing, nor do those after it (ops/step_guard.h): when
// the host finds it, finish() takes all of them back.
//
// The model must do the same work at each step. What it does on the host is not done again, but for counters:
// integer buffers grow at each step by what they grew when it was recorded. Numbers that depend on the step
// come from nn::Dropout and from the losses' options alone.

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "tern/core/cuda_options.h"
#include "tern/core/device_step.h"
#include "tern/nn/module.h"
#include "tern/nn/optim.h"
#include "tern/train/options.h"

namespace tern {

struct StepOutcome {
  double loss = 0, grad_norm = 0;
  StatsReport stats;
};

// What a step learns from, on the host: augment(photos, table) and labels.
struct StepBatch {
  Tensor photos, table, labels;
  std::vector<Tensor> tensors() const { return {photos, table, labels}; }
};

class RecordedStep {
 public:
  // The loss of a batch on the device.
  using Forward = std::function<LossResult(const StepBatch& batch)>;

  // Records forward, backward and update for batches like this one; nothing is computed or changed yet.
  // Throws what recording throws; then everything is as it was. The model's buffers move into one range.
  RecordedStep(nn::Module& model, nn::Optimizer& optimizer, const StepBatch& like, int64_t step,
               const Forward& forward);
  RecordedStep(const RecordedStep&) = delete;
  RecordedStep& operator=(const RecordedStep&) = delete;

  // Whether such a batch, with the optimizer's and CUDA's settings of now, gives the work that was recorded.
  bool fits(const StepBatch& batch) const;
  void start(const StepBatch& batch, int64_t step);
  int64_t running() const { return static_cast<int64_t>(running_.size()); }
  // Of the oldest that runs; waits for it. Nothing where it was not finite: it and those after it have been
  // taken back, and none runs.
  std::optional<StepOutcome> finish();

 private:
  struct Counter {
    Tensor buffer;  // i64, on the host
    std::vector<int64_t> each;
  };
  void gather_buffers(nn::Module& model);
  void record(const Forward& forward);
  void count(int64_t steps);
  void take_back();

  nn::Optimizer& optimizer_;
  Device device_;
  int64_t step_;  // recorded
  CudaOptions settings_;
  std::unique_ptr<Inbox> inbox_;
  std::vector<Tensor> buffers_;  // on the device
  Tensor state_, kept_;          // u8: all of them, and as they were before the first step that is halted
  std::vector<Counter> counters_;
  Tensor halted_;
  nn::Optimizer::Update update_;
  Tensor loss_;
  StatsReport stats_;
  std::unique_ptr<Recording> recording_;
  std::deque<std::unique_ptr<Readback>> running_, idle_;
};

}  // namespace tern
