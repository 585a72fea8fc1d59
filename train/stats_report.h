#pragma once
// The statistics of a step's loss, read when somebody asks: on a GPU they stay in its memory until then, and
// asking waits for the step.

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "tern/ops/batch_measures.h"

namespace tern {

class StatsReport {
 public:
  StatsReport() = default;  // nothing was measured: zeros
  // of_pairs: the terms are pairs in the place of triplets, of which none is semi-hard.
  explicit StatsReport(BatchMeasures measures, bool of_pairs = false)
      : state_(std::make_shared<State>(State{std::move(measures), of_pairs, std::nullopt})) {}

  // Read at the first question.
  const TripletStats& operator()() const {
    static const TripletStats none;
    if (!state_) return none;
    if (!state_->stats) {
      state_->stats = state_->measures.stats();
      if (state_->of_pairs) state_->stats->semi_hard = 0;
    }
    return *state_->stats;
  }
  // Whether asking costs no wait.
  bool at_hand() const { return !state_ || state_->stats || state_->measures.device().is_cpu(); }

  // The tensors it would read, and a report of copies of them.
  std::vector<Tensor> tensors() const {
    if (!state_ || !state_->measures.values.defined()) return {};
    return {state_->measures.values, state_->measures.d_ap, state_->measures.d_an};
  }
  StatsReport of_copies(const std::vector<Tensor>& copies) const {
    if (copies.empty()) return *this;
    return StatsReport({state_->measures.n, copies[0], copies[1], copies[2]}, state_->of_pairs);
  }

 private:
  struct State {
    BatchMeasures measures;
    bool of_pairs;
    std::optional<TripletStats> stats;
  };
  std::shared_ptr<State> state_;
};

}  // namespace tern
