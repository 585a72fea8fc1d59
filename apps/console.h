#pragma once
// What a person sees while a run goes on: a progress bar on a terminal, plain lines elsewhere, all on stderr.
// Results go to stdout and are the commands' own business.

#include <chrono>
#include <string>

#include "tern/apps/cli.h"
#include "tern/train/observer.h"

namespace tern::app {

// Whether stderr takes colours: a terminal, NO_COLOR unset or empty; --color overrides.
bool use_color(const GlobalOptions& global);
bool stderr_is_terminal();  // one that can move its cursor: TERM is set, and not to dumb

class ConsoleObserver final : public Observer {
 public:
  ConsoleObserver(const GlobalOptions& global, int64_t log_every);
  ~ConsoleObserver() override;

  void note(const std::string& text);
  void on_start(const RunInfo& info) override;
  void on_step(const StepInfo& info) override;
  void on_evaluation(const EvaluationInfo& info) override;
  void on_warning(const std::string& text) override;
  void on_end(const TrainResult& result) override;

 private:
  void line(const std::string& text, bool always = false);  // above the bar
  void draw(const StepInfo& info);

  bool quiet_, bar_, color_;
  std::string device_;
  int64_t log_every_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_draw_{};
};

}  // namespace tern::app
