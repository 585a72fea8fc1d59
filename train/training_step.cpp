#include "tern/train/training_step.h"

#include <cmath>
#include <utility>

#include "tern/core/autograd.h"
#include "tern/core/error.h"
#include "tern/nn/layers.h"

namespace tern {
namespace {

bool all_finite(const Tensor& x) {
  for (const double value : x.to_vector()) {
    if (!std::isfinite(value)) return false;
  }
  return true;
}

}  // namespace

BufferCopy::BufferCopy(nn::Module& model) {
  for (const nn::NamedTensor& buffer : model.named_buffers()) {
    buffers_.push_back(buffer.tensor);
    values_.push_back(buffer.tensor.clone());
  }
}

void BufferCopy::restore() {
  const NoGradGuard no_grad;
  for (size_t i = 0; i < buffers_.size(); ++i) buffers_[i].copy_from(values_[i]);
}

TrainingStep::TrainingStep(nn::Module& model, nn::Optimizer& optimizer, LossFunction loss,
                           TrainingStepOptions options)
    : model_(model), optimizer_(optimizer), loss_(std::move(loss)), options_(options) {}

LossResult TrainingStep::forward(const StepBatch& b, int64_t step) {
  nn::set_dropout_step(model_, static_cast<uint64_t>(step));
  // A network that does not end in l2_normalize leaves its embeddings in bf16; losses are f32.
  Tensor embeddings = model_(augment(b.photos, b.table, options_.input));
  if (embeddings.dtype() == DType::BF16) embeddings = embeddings.to(DType::F32);
  LossResult result = loss_(embeddings, b.labels, step);
  check(result.loss.defined() && result.loss.numel() == 1, "train: the loss must be one number");
  return result;
}

StepOutcome TrainingStep::attempt(const StepBatch& batch, int64_t step, bool update) {
  optimizer_.zero_grad();
  // 8-bit pixels travel; floats are made where they are used.
  const Device device = options_.device;
  LossResult result =
      forward({batch.photos.to(device), batch.table.to(device), batch.labels.to(device)}, step);
  StepOutcome outcome{0, 0, std::move(result.stats)};
  const auto read_loss = [&] {
    outcome.loss = result.loss.item();
    check<NumericError>(std::isfinite(outcome.loss), "the loss is not finite");
  };
  // Reading waits for a device: it gets its backward pass first, and the host waits once instead of in the
  // middle.
  const bool at_hand = result.loss.device().is_cpu();
  if (at_hand) read_loss();
  result.loss.backward();
  if (!at_hand) read_loss();
  outcome.grad_norm = update ? optimizer_.step() : optimizer_.grad_norm();
  check<NumericError>(std::isfinite(outcome.grad_norm), "the gradient is not finite");
  return outcome;
}

StepOutcome TrainingStep::run(const StepBatch& batch, int64_t step) {
  BufferCopy buffers(model_);
  std::string what;
  try {
    StepOutcome outcome = attempt(batch, step, true);
    optimizer_.zero_grad();
    return outcome;
  } catch (const NumericError& error) {
    what = error.what();
  } catch (...) {
    buffers.restore();
    optimizer_.zero_grad();
    throw;
  }
  buffers.restore();
  fail(what, batch, step);
}

// Model and optimizer are as before the step.
void TrainingStep::fail(const std::string& what, const StepBatch& batch, int64_t step) {
  BufferCopy buffers(model_);
  optimizer_.zero_grad();
  std::string fault;
  try {
    fault = first_fault(batch, step);
  } catch (...) {
    fault = "the operation was not found";
  }
  buffers.restore();
  optimizer_.zero_grad();
  throw NumericError(concat_text(
      "train: step ", step + 1, ": ", what, ": ", fault,
      "; nothing was changed by this step; hint: lower the learning rate, clip the gradient's norm, "
      "or go on from an earlier checkpoint"));
}

std::string TrainingStep::first_fault(const StepBatch& batch, int64_t step) {
  std::string found;
  try {
    const FiniteCheckGuard finite;
    attempt(batch, step, false);
    found = "the same step was finite when it was run again";
  } catch (const NumericError& error) {
    found = error.what();
  }
  for (const nn::NamedTensor& parameter : model_.named_parameters()) {
    if (!all_finite(parameter.tensor)) return found + "; parameter " + parameter.name + " is not finite";
  }
  return found;
}

void TrainingStep::record_if_due(const StepBatch& batch, int64_t step) {
  if (!options_.graph || options_.device.is_cpu() || recorded_) return;
  std::vector<Shape> shapes;
  for (const Tensor& t : batch.tensors()) shapes.push_back(t.shape());
  if (shapes != latest_) alike_ = 0;
  latest_ = std::move(shapes);
  if (alike_++ < kWarmUp) return;
  try {
    recorded_ = std::make_unique<RecordedStep>(model_, optimizer_, batch, step,
                                               [&](const StepBatch& b) { return forward(b, step); });
  } catch (const Error& error) {
    options_.graph = false;
    notice_ =
        concat_text("the training step is not recorded as a graph, each is issued anew: ", error.what());
  }
}

void TrainingStep::start(const StepBatch& batch, int64_t step) {
  record_if_due(batch, step);
  if (goes_on_alone(batch)) {
    recorded_->start(batch, step);
    running_.push_back({batch, step});
    return;
  }
  check(running_.empty(), "train: steps that run must be finished first");
  over_.push_back(run(batch, step));
}

StepOutcome TrainingStep::finish() {
  if (!over_.empty()) {
    StepOutcome outcome = std::move(over_.front());
    over_.pop_front();
    return outcome;
  }
  check(!running_.empty(), "train: no step was started");
  if (std::optional<StepOutcome> outcome = recorded_->finish()) {
    running_.pop_front();
    return std::move(*outcome);
  }
  const Running first = std::move(running_.front());
  running_.clear();
  fail("loss or gradient is not finite", first.batch, first.step);
}

}  // namespace tern
