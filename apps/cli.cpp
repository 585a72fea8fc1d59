#include "tern/apps/cli.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>

#include "tern/core/error.h"
#include "tern/core/parallel.h"

namespace tern::app {
namespace {

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string range_text(Range range) {
  return fmt::format("a number from {:g} to {:g}", range.low, range.high);
}

// Text that is a finite number in the range, whole if asked; otherwise a sentence.
CLI::Validator number_in(Range range, bool whole) {
  return CLI::Validator(
      [=](std::string& text) -> std::string {
        char* end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        const bool number =
            !text.empty() && *end == 0 && std::isfinite(value) && (!whole || value == std::floor(value));
        if (number && value >= range.low && value <= range.high) return {};
        return fmt::format("'{}' is not {}{}", escaped(text), whole ? "a whole " : "a ",
                           range_text(range).substr(2));
      },
      "");
}

template <class T>
CLI::Option* add_number(CLI::App* app, const std::string& names, T& value, Range range,
                        const std::string& help, bool whole) {
  // Whole numbers may be written 1e4: they are read as a number first.
  auto* option = app->add_option_function<std::string>(
      names,
      [&value](const std::string& text) { value = static_cast<T>(std::strtod(text.c_str(), nullptr)); },
      help);
  option->check(number_in(range, whole))
      ->type_name("N")
      ->default_str(fmt::format("{:g}", static_cast<double>(value)));
  return option;
}

// The option names of an app, as written: "--lr", "-b".
std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
    for (const auto& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

bool is_number(const std::string& text) {
  char* end = nullptr;
  std::strtod(text.c_str(), &end);
  return !text.empty() && *end == 0;
}

}  // namespace

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const auto& candidate : candidates) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

Cli::Cli()
    : app_("tern: train and use a face network that tells whether photos show the same person", "tern") {
  app_.set_version_flag("--version", "tern " TERN_VERSION);
  app_.require_subcommand(0, 1);
  app_.fallthrough();
  app_.set_help_flag("-h,--help", "Print this help and exit");
  auto* group = app_.add_option_group("global", "Options of every command");
  group->add_flag("--json", global.json, "Print one JSON object on stdout");
  group->add_flag("-q,--quiet", global.quiet, "No progress and no notes");
  group->add_flag("--no-progress", global.no_progress, "Plain lines instead of a progress bar");
  choice(group, "--color", global.color, {"auto", "always", "never"}, "Colours on stderr");
  choice(group, "--device", global.device, {"cpu", "cuda"}, "Where to compute");
  number(group, "--threads", global.threads, {0, 1024}, "Threads; 0 takes all processors");
}

CLI::App* Cli::command(const std::string& name, const std::string& purpose, const std::string& examples,
                       std::function<int()> run) {
  CLI::App* sub = app_.add_subcommand(name, purpose);
  sub->footer("Examples:\n" + examples);
  commands_.emplace_back(sub, std::move(run));
  return sub;
}

CLI::App* Cli::command(CLI::App* parent, const std::string& name, const std::string& purpose,
                       std::function<int()> run) {
  CLI::App* sub = parent->add_subcommand(name, purpose);
  commands_.emplace(commands_.begin(), sub, std::move(run));  // found before its parent
  return sub;
}

CLI::Option* Cli::number(CLI::App* app, const std::string& names, double& value, Range range,
                         const std::string& help) {
  return add_number(app, names, value, range, help, false);
}
CLI::Option* Cli::number(CLI::App* app, const std::string& names, int64_t& value, Range range,
                         const std::string& help) {
  return add_number(app, names, value, range, help, true);
}
CLI::Option* Cli::number(CLI::App* app, const std::string& names, int& value, Range range,
                         const std::string& help) {
  return add_number(app, names, value, range, help, true);
}
CLI::Option* Cli::seed(CLI::App* app, uint64_t& value, const std::string& help) {
  return add_number(app, "--seed", value, {0, 9007199254740992.0}, help, true);
}

CLI::Option* Cli::choice(CLI::App* app, const std::string& names, std::string& value,
                         const std::vector<std::string>& allowed, const std::string& help) {
  std::string list;
  for (const auto& word : allowed) list += (list.empty() ? "" : "|") + word;
  const auto one_of = CLI::Validator(
      [=](std::string& text) -> std::string {
        if (std::find(allowed.begin(), allowed.end(), text) != allowed.end()) return {};
        const std::string near = nearest(text, allowed);
        return fmt::format("'{}' is not one of {}{}", escaped(text), list,
                           near.empty() ? "" : fmt::format("; did you mean {}?", near));
      },
      "");
  return app->add_option(names, value, help)->check(one_of)->type_name(list)->capture_default_str();
}

// Refuses unknown commands and options before CLI11 does, with the nearest match.
void Cli::check_names(const std::vector<std::string>& args) {
  const CLI::App* sub = nullptr;
  std::vector<std::string> names = option_names(app_);
  for (const auto* group : app_.get_subcommands([](const CLI::App*) { return true; }))
    if (group->get_name().empty()) {
      const auto more = option_names(*group);
      names.insert(names.end(), more.begin(), more.end());
    }
  for (const auto& arg : args) {
    if (arg == "--") return;
    if (arg.size() > 1 && arg[0] == '-' && !is_number(arg)) {
      const std::string name = arg.rfind("--", 0) == 0 ? arg.substr(0, arg.find('=')) : arg.substr(0, 2);
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      const std::string near = nearest(name, names);
      check(false, sub ? sub->get_name() + ": " : "", "unknown option ", escaped(name),
            near.empty() ? std::string("; hint: see --help") : "; hint: did you mean " + near + "?");
    } else if (!sub || !sub->get_subcommands([](const CLI::App*) { return true; }).empty()) {
      std::vector<std::string> commands;
      const CLI::App* found = nullptr;
      for (const auto* candidate :
           (sub ? sub : &app_)->get_subcommands([](const CLI::App*) { return true; })) {
        if (candidate->get_name().empty()) continue;
        commands.push_back(candidate->get_name());
        if (commands.back() == arg) found = candidate;
      }
      const std::string near = nearest(arg, commands);
      check(found != nullptr, "unknown command '", escaped(arg), "'",
            near.empty() ? std::string("; hint: see tern --help") : "; hint: did you mean " + near + "?");
      sub = found;
      const auto more = option_names(*sub);
      names.insert(names.end(), more.begin(), more.end());
    }
  }
}

int Cli::run(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  check_names(args);
  try {
    app_.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app_.exit(e);  // --help and --version
  } catch (const CLI::ParseError& e) {
    throw UsageError(e.what());
  }
  if (global.threads > 0) set_num_threads(global.threads);
  check<DeviceError>(global.device == "cpu",
                     "device cuda: this build of tern has no CUDA backend; hint: use --device cpu");
  for (const auto& [sub, run] : commands_)
    if (sub->parsed()) return run();
  std::cout << app_.help();
  return 0;
}

}  // namespace tern::app
