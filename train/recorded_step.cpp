#include "tern/train/recorded_step.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "tern/core/autograd.h"
#include "tern/core/error.h"
#include "tern/ops/creation.h"
#include "tern/ops/step_guard.h"

namespace tern {
namespace {

constexpr int64_t kLine = 64;  // buffers begin at multiples of it

bool alike(const Tensor& a, const Tensor& b) { return a.shape() == b.shape() && a.dtype() == b.dtype(); }

std::vector<int64_t> values_of(const Tensor& counter) {
  return {counter.data<int64_t>(), counter.data<int64_t>() + counter.numel()};
}

}  // namespace

RecordedStep::RecordedStep(nn::Module& model, nn::Optimizer& optimizer, const StepBatch& like, int64_t step,
                           const Forward& forward)
    : optimizer_(optimizer),
      device_(model.device()),
      step_(step),
      settings_(cuda_options()),
      inbox_(make_inbox(device_, like.tensors())),
      halted_(zeros({1}, {DType::F64, device_})),
      update_(optimizer.make_update()) {
  gather_buffers(model);
  // The driver may load a kernel at its first launch, which is better done before: steps issued one by one
  // have no use for these two.
  keep_bytes(state_, halted_, kept_);
  judge_step(zeros({1}, {DType::F32, device_}), zeros({2}, {DType::F64, device_}), halted_);
  record(forward);
}

// Floating buffers lie on the device: they move into one range, which one launch copies. The others are
// counters.
void RecordedStep::gather_buffers(nn::Module& model) {
  std::vector<int64_t> offsets;
  int64_t bytes = 0;
  for (const nn::NamedTensor& b : model.named_buffers()) {
    if (b.tensor.device() == device_) {
      check<UsageError>(b.tensor.storage().bytes() == b.tensor.bytes(), "train: buffer ", b.name,
                        " is a part of a larger tensor");
      buffers_.push_back(b.tensor);
      offsets.push_back(bytes);
      bytes += (b.tensor.bytes() + kLine - 1) / kLine * kLine;
    } else {
      check<UsageError>(b.tensor.dtype() == DType::I64, "train: buffer ", b.name, " is neither on ", device_,
                        " nor a counter");
      counters_.push_back({b.tensor, {}});
    }
  }
  state_ = zeros({bytes}, {DType::U8, device_});
  kept_ = zeros({bytes}, {DType::U8, device_});
  for (size_t i = 0; i < buffers_.size(); ++i)
    buffers_[i].storage().rehome(Ref<Storage>(&state_.storage()), offsets[i]);
}

void RecordedStep::record(const Forward& forward) {
  std::vector<std::vector<int64_t>> before;
  for (const Counter& c : counters_) before.push_back(values_of(c.buffer));
  const auto restore_counters = [&] {
    for (size_t i = 0; i < counters_.size(); ++i)
      std::copy(before[i].begin(), before[i].end(), counters_[i].buffer.mutable_data<int64_t>());
  };
  optimizer_.zero_grad();
  try {
    recording_ = record_work(device_, [&] {
      keep_bytes(state_, halted_, kept_);
      const std::vector<Tensor>& in = inbox_->tensors();
      LossResult result = forward({in[0], in[1], in[2]});
      result.loss.backward();
      optimizer_.gather(update_);
      loss_ = result.loss.detach();
      stats_ = std::move(result.stats);
      optimizer_.queue(update_, loss_, halted_);
    });
  } catch (...) {
    restore_counters();
    optimizer_.zero_grad();
    throw;
  }
  for (size_t i = 0; i < counters_.size(); ++i) {
    counters_[i].each = values_of(counters_[i].buffer);
    for (size_t k = 0; k < before[i].size(); ++k) counters_[i].each[k] -= before[i][k];
  }
  restore_counters();
  optimizer_.zero_grad();
}

bool RecordedStep::fits(const StepBatch& batch) const {
  const std::vector<Tensor>& in = inbox_->tensors();
  return alike(batch.photos, in[0]) && alike(batch.table, in[1]) && alike(batch.labels, in[2]) &&
         cuda_options() == settings_ && optimizer_.still_fits(update_);
}

void RecordedStep::start(const StepBatch& batch, int64_t step) {
  if (idle_.empty()) idle_.push_back(make_readback(device_));
  inbox_->receive(batch.tensors());
  optimizer_.prepare(update_);
  recording_->replay(step - step_);
  count(1);
  std::vector<Tensor> numbers{loss_, update_.norm.total};
  for (Tensor& t : stats_.tensors()) numbers.push_back(std::move(t));
  idle_.back()->start(numbers);
  running_.push_back(std::move(idle_.back()));
  idle_.pop_back();
}

std::optional<StepOutcome> RecordedStep::finish() {
  std::vector<Tensor> numbers = running_.front()->finish();
  const double loss = numbers[0].item(), norm = numbers[1].to_vector()[0];
  if (!std::isfinite(loss) || !std::isfinite(norm)) {
    take_back();
    return std::nullopt;
  }
  idle_.push_back(std::move(running_.front()));
  running_.pop_front();
  numbers.erase(numbers.begin(), numbers.begin() + 2);
  return StepOutcome{loss, norm, stats_.of_copies(numbers)};
}

// What the host counts, and what must be remade where it was made of these tensors.
void RecordedStep::count(int64_t steps) {
  optimizer_.count(update_, steps);
  for (const Counter& c : counters_) {
    int64_t* value = c.buffer.mutable_data<int64_t>();
    for (const int64_t each : c.each) *value++ += steps * each;
  }
  for (const Tensor& b : buffers_) b.storage().bump_version();
}

void RecordedStep::take_back() {
  const NoGradGuard no_grad;
  count(-running());
  while (!running_.empty()) {
    idle_.push_back(std::move(running_.back()));
    running_.pop_back();
  }
  state_.copy_from(kept_);
  halted_.fill(0);
}

}  // namespace tern
