#pragma once
// What a training run tells whoever watches: a progress bar, a log, a test. The trainer itself prints
// nothing. Calls come from the thread that runs the trainer; an exception thrown by an observer stops the
// run.

#include <cstdint>
#include <optional>
#include <string>

#include "tern/metrics/evaluate.h"
#include "tern/train/stats_report.h"

namespace tern {

struct RunInfo {
  int64_t first_step = 0, steps = 0;  // done before, and to be reached
  int64_t photos = 0, people = 0;     // to learn from
  int64_t held_out_photos = 0, held_out_people = 0;
  int64_t p = 0, k = 0;         // of a batch
  int64_t parameters = 0;       // learnable numbers of the model
  int64_t memory_estimate = 0;  // bytes of one step
  std::string run_directory;    // empty: nothing is written
};

struct StepInfo {
  int64_t step = 0;  // steps done, this one included
  int64_t steps = 0;
  double loss = 0, lr = 0, grad_norm = 0;
  int64_t photos = 0, people = 0;  // in the batch
  int64_t short_people = 0;        // of these, with fewer than K photos
  StatsReport stats;               // of the loss; zeros where a custom loss gives none
  double seconds = 0;              // of this step
  double images_per_s = 0;         // average of the latest steps
  double loading_seconds = 0;      // of it spent waiting for photos
};

struct EvaluationInfo {
  int64_t step = 0;
  metrics::Evaluation evaluation;
  bool held_out = false;  // measured on people not trained on
  bool best = false;      // the best held-out AUC so far
};

struct CheckpointInfo {
  int64_t step = 0;
  std::string weights, state;
};

enum class RunStatus { Finished, Interrupted, Collapsed, Failed };
constexpr std::string_view to_string(RunStatus status) {
  switch (status) {
    case RunStatus::Finished: return "finished";
    case RunStatus::Interrupted: return "interrupted";
    case RunStatus::Collapsed: return "collapsed";
    case RunStatus::Failed: return "failed";
  }
  return "?";
}

struct TrainResult {
  RunStatus status = RunStatus::Finished;
  int64_t steps = 0;                             // done in all
  double images_per_s = 0;                       // over this run's steps
  std::optional<double> best_metric;             // highest held-out AUC
  std::string best_checkpoint, last_checkpoint;  // weights files; empty without a run directory
  std::optional<EvaluationInfo> evaluation;      // of the final weights
};

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_start(const RunInfo&) {}
  virtual void on_step(const StepInfo&) {}
  virtual void on_evaluation(const EvaluationInfo&) {}
  virtual void on_checkpoint(const CheckpointInfo&) {}
  virtual void on_warning(const std::string&) {}
  virtual void on_end(const TrainResult&) {}
};

}  // namespace tern
