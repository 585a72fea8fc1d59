#pragma once
// One training step as a transaction: forward, loss, backward, update. Either all of it happens, or, on a
// throw (out of memory, a number that is not finite), parameters, optimizer state and batch-norm statistics
// are what they were, gradients are cleared, and running the step again gives the same bits.
//
// Only two things change before the optimizer's own all-or-nothing update: gradients, which are cleared, and
// the module's buffers, of which a copy is taken first.
//
// On a GPU equal steps are recorded and replayed, if .graph asks for it (train/recorded_step.h). Eagerly, one
// operation after the other, run: the first kWarmUp steps of equal batches, in which memory, plans and
// algorithms are found; batches of another size than the recorded one's; steps after CUDA's or the
// optimizer's settings have changed; everything where recording failed, which a notice says. An eager step is
// over when start() returns, on the CPU always. Both ways give the same bits.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tern/nn/module.h"
#include "tern/nn/optim.h"
#include "tern/ops/augment.h"
#include "tern/train/options.h"
#include "tern/train/recorded_step.h"

namespace tern {

struct TrainingStepOptions {
  Device device = kCpu;
  AugmentOutput input;  // of the network, from photos and table of a batch
  bool graph = false;
};

class TrainingStep {
 public:
  static constexpr int kWarmUp = 3;

  TrainingStep(nn::Module& model, nn::Optimizer& optimizer, LossFunction loss,
               TrainingStepOptions options = {});

  // Whether start() would return before such a step is over. Steps that run must be finished before one is
  // started that is over at once.
  bool goes_on_alone(const StepBatch& batch) const { return recorded_ && recorded_->fits(batch); }

  // step: the one being done, 0 the first. A loss or gradient that is not finite throws NumericError that
  // names the first operation, or the parameter, that is not (the step is rerun to find it): from here, or,
  // where the step goes on alone, from finish().
  void start(const StepBatch& batch, int64_t step);
  // Of the oldest step that was started. After a throw it and those started after it have not happened.
  StepOutcome finish();
  bool over() const { return !over_.empty(); }  // the oldest: finish() waits for nothing
  // Why steps are not recorded, once.
  std::optional<std::string> take_notice() { return std::exchange(notice_, std::nullopt); }

 private:
  struct Running {
    StepBatch batch;
    int64_t step;
  };
  LossResult forward(const StepBatch& on_device, int64_t step);
  StepOutcome attempt(const StepBatch& batch, int64_t step, bool update);
  StepOutcome run(const StepBatch& batch, int64_t step);
  [[noreturn]] void fail(const std::string& what, const StepBatch& batch, int64_t step);
  std::string first_fault(const StepBatch& batch, int64_t step);
  void record_if_due(const StepBatch& batch, int64_t step);

  nn::Module& model_;
  nn::Optimizer& optimizer_;
  LossFunction loss_;
  TrainingStepOptions options_;
  std::unique_ptr<RecordedStep> recorded_;
  std::vector<Shape> latest_;  // of the last batch
  int alike_ = 0;              // eager steps of such batches in a row
  std::deque<StepOutcome> over_;
  std::deque<Running> running_;
  std::optional<std::string> notice_;
};

// Values of a module's buffers, to be put back.
class BufferCopy {
 public:
  explicit BufferCopy(nn::Module& model);
  void restore();

 private:
  std::vector<Tensor> buffers_, values_;
};

}  // namespace tern
