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

TrainingStep::TrainingStep(nn::Module& model, nn::Optimizer& optimizer, LossFunction loss)
    : model_(model), optimizer_(optimizer), loss_(std::move(loss)) {}

StepOutcome TrainingStep::attempt(const Tensor& x, const Tensor& labels, int64_t step, bool update) {
  optimizer_.zero_grad();
  nn::set_dropout_step(model_, static_cast<uint64_t>(step));
  // A network that does not end in l2_normalize leaves its embeddings in bf16; losses are f32.
  Tensor embeddings = model_(x);
  if (embeddings.dtype() == DType::BF16) embeddings = embeddings.to(DType::F32);
  LossResult result = loss_(embeddings, labels, step);
  check(result.loss.defined() && result.loss.numel() == 1, "train: the loss must be one number");
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

StepOutcome TrainingStep::run(const Tensor& x, const Tensor& labels, int64_t step) {
  BufferCopy buffers(model_);
  try {
    StepOutcome outcome = attempt(x, labels, step, true);
    optimizer_.zero_grad();
    return outcome;
  } catch (const NumericError& error) {
    buffers.restore();
    optimizer_.zero_grad();
    std::string fault;
    try {
      fault = first_fault(x, labels, step);
    } catch (...) {
      fault = "the operation was not found";
    }
    buffers.restore();
    optimizer_.zero_grad();
    check<NumericError>(
        false, "train: step ", step + 1, ": ", error.what(), ": ", fault,
        "; nothing was changed by this step; hint: lower the learning rate, clip the gradient's norm, "
        "or go on from an earlier checkpoint");
    throw;
  } catch (...) {
    buffers.restore();
    optimizer_.zero_grad();
    throw;
  }
}

std::string TrainingStep::first_fault(const Tensor& x, const Tensor& labels, int64_t step) {
  std::string found;
  try {
    const FiniteCheckGuard finite;
    attempt(x, labels, step, false);
    found = "the same step was finite when it was run again";
  } catch (const NumericError& error) {
    found = error.what();
  }
  for (const nn::NamedTensor& parameter : model_.named_parameters()) {
    if (!all_finite(parameter.tensor)) return found + "; parameter " + parameter.name + " is not finite";
  }
  return found;
}

}  // namespace tern
