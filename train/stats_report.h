#pragma once
// The statistics of a step's loss, read when somebody asks: on a GPU they stay in its memory until then, and
// asking waits for the step.

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "tern/ops/batch_measures.h"

namespace tern {

class StatsReport {
 public:
  StatsReport() = default;  // nothing was measured: zeros
  // read is called once, at the first question.
  StatsReport(Device device, std::function<TripletStats()> read)
      : state_(std::make_shared<State>(State{device, std::move(read), std::nullopt})) {}

  const TripletStats& operator()() const {
    static const TripletStats none;
    if (!state_) return none;
    if (!state_->stats) state_->stats = state_->read();
    return *state_->stats;
  }
  // Whether asking costs no wait.
  bool at_hand() const { return !state_ || state_->stats || state_->device.is_cpu(); }

 private:
  struct State {
    Device device;
    std::function<TripletStats()> read;
    std::optional<TripletStats> stats;
  };
  std::shared_ptr<State> state_;
};

}  // namespace tern
