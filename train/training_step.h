#pragma once
// One training step as a transaction: forward, loss, backward, update. Either all of it happens, or, on a
// throw (out of memory, a number that is not finite), parameters, optimizer state and batch-norm statistics
// are what they were, gradients are cleared, and running the step again gives the same bits.
//
// Only two things change before the optimizer's own all-or-nothing update: gradients, which are cleared, and
// the module's buffers, of which a copy is taken first.

#include <cstdint>
#include <string>
#include <vector>

#include "tern/nn/module.h"
#include "tern/nn/optim.h"
#include "tern/train/options.h"

namespace tern {

struct StepOutcome {
  double loss = 0, grad_norm = 0;
  StatsReport stats;
};

class TrainingStep {
 public:
  TrainingStep(nn::Module& model, nn::Optimizer& optimizer, LossFunction loss);

  // x: the network's input; step: the one being done, 0 the first. A loss or gradient that is not finite
  // throws NumericError that names the first operation, or the parameter, that is not (the step is rerun to
  // find it).
  StepOutcome run(const Tensor& x, const Tensor& labels, int64_t step);

 private:
  StepOutcome attempt(const Tensor& x, const Tensor& labels, int64_t step, bool update);
  std::string first_fault(const Tensor& x, const Tensor& labels, int64_t step);

  nn::Module& model_;
  nn::Optimizer& optimizer_;
  LossFunction loss_;
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
