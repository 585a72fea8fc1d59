#include "tern/apps/console.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "tern/core/cuda_support.h"
#include "tern/core/error.h"
#include "tern/core/parallel.h"

namespace tern::app {
namespace {

std::string duration(double seconds) {
  const auto s = static_cast<int64_t>(seconds + 0.5);
  if (s >= 3600) return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
  if (s >= 60) return fmt::format("{}m{:02}s", s / 60, s % 60);
  return fmt::format("{}s", s);
}

double active_share(const StepInfo& info) { return 100 * info.stats().active_fraction(); }

std::string step_text(const StepInfo& info) {
  const double left = info.images_per_s > 0
                          ? static_cast<double>((info.steps - info.step) * info.photos) / info.images_per_s
                          : 0;
  return fmt::format(
      "step {}/{}  loss {:.4f}  active {:.0f}%  d_ap {:.2f} d_an {:.2f}  {:.0f} images/s  {} left", info.step,
      info.steps, info.loss, active_share(info), info.stats().d_ap.mean, info.stats().d_an.mean,
      info.images_per_s, duration(left));
}

size_t terminal_columns() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

}  // namespace

bool stderr_is_terminal() {
  const char* term = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && term && std::string_view(term) != "dumb";
}

bool use_color(const GlobalOptions& global) {
  if (global.color != "auto") return global.color == "always";
  const char* no_color = std::getenv("NO_COLOR");
  return stderr_is_terminal() && (!no_color || !*no_color);
}

ConsoleObserver::ConsoleObserver(const GlobalOptions& global, int64_t log_every)
    : quiet_(global.quiet),
      bar_(!global.quiet && !global.no_progress && stderr_is_terminal()),
      color_(use_color(global)),
      device_(global.device),
      log_every_(std::max<int64_t>(1, log_every)) {}

ConsoleObserver::~ConsoleObserver() {
  if (drawn_) std::cerr << '\n';
}

void ConsoleObserver::note(const std::string& text) { line("note: " + text); }

void ConsoleObserver::line(const std::string& text, bool always) {
  if (quiet_ && !always) return;
  if (drawn_) std::cerr << "\r\x1b[K";
  drawn_ = false;
  std::cerr << text << '\n';
}

void ConsoleObserver::on_start(const RunInfo& info) {
  const auto gpus = device_ == "cpu" ? std::vector<std::string>() : cuda_support().devices;
  line(fmt::format("device {}, {} threads", gpus.empty() ? device_ : gpus[0], num_threads()));
  line(fmt::format("data: {} photos of {} people, {} held out; batches of {} x {} photos", info.photos,
                   info.people, info.held_out_people, info.p, info.k));
  line(fmt::format("model: {} parameters; about {} MiB for one step", info.parameters,
                   info.memory_estimate >> 20));
  if (info.first_step > 0) line(fmt::format("resumed at step {}", info.first_step));
}

void ConsoleObserver::draw(const StepInfo& info) {
  const auto now = std::chrono::steady_clock::now();
  if (info.step < info.steps && now - last_draw_ < std::chrono::milliseconds(100)) return;
  last_draw_ = now;
  // A line that wraps could not be drawn over: its end is cut off.
  const size_t columns = terminal_columns();
  const int width = columns >= 110 ? 20 : 10;
  const size_t room = columns > static_cast<size_t>(width) + 4 ? columns - static_cast<size_t>(width) - 4 : 0;
  const int filled = info.steps > 0 ? static_cast<int>(width * info.step / info.steps) : width;
  std::cerr << "\r\x1b[K" << (color_ ? "\x1b[36m" : "") << '['
            << std::string(static_cast<size_t>(filled), '=')
            << std::string(static_cast<size_t>(width - filled), ' ') << ']' << (color_ ? "\x1b[0m" : "")
            << ' ' << step_text(info).substr(0, room) << std::flush;
  drawn_ = true;
}

void ConsoleObserver::on_step(const StepInfo& info) {
  if (quiet_) return;
  if (bar_) draw(info);
  else if (info.step % log_every_ == 0 || info.step == info.steps) line(step_text(info));
}

void ConsoleObserver::on_evaluation(const EvaluationInfo& info) {
  const auto& e = info.evaluation;
  line(fmt::format("evaluation at step {}: AUC {:.4f}  EER {:.4f}  rank-1 {:.3f} on {} {}{}", info.step,
                   e.auc, e.eer, e.rank1.rate, e.people, info.held_out ? "unseen people" : "training people",
                   info.best ? "  (best so far)" : ""));
}

void ConsoleObserver::on_warning(const std::string& text) {
  line((color_ ? "\x1b[33mwarning:\x1b[0m " : "warning: ") + text, true);
}

void ConsoleObserver::on_end(const TrainResult& result) {
  line(fmt::format("{} after {} steps, {:.0f} images/s", to_string(result.status), result.steps,
                   result.images_per_s));
}

}  // namespace tern::app
