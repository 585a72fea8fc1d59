#include "tern/apps/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <map>

#include "tern/apps/help.h"
#include "tern/core/cuda_support.h"
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

std::string range_text(Range range) { return fmt::format("number from {} to {}", range.low, range.high); }

// Text that is a finite number in the range, whole if asked; otherwise a sentence.
CLI::Validator number_in(Range range, bool whole) {
  return CLI::Validator(
      [=](std::string& text) -> std::string {
        char* end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        const bool number =
            !text.empty() && *end == 0 && std::isfinite(value) && (!whole || value == std::floor(value));
        if (number && value >= range.low && value <= range.high) return {};
        return fmt::format("'{}' is not {}{}", escaped(text), whole ? "a whole " : "a ", range_text(range));
      },
      "");
}

template <class T>
Option add_number(CLI::App* app, const std::string& names, T& value, Range range, const std::string& help,
                  bool whole) {
  // Whole numbers may be written 1e4: they are read as a number first.
  auto* option = app->add_option_function<std::string>(
      names,
      [&value](const std::string& text) { value = static_cast<T>(std::strtod(text.c_str(), nullptr)); },
      help);
  option->check(number_in(range, whole))
      ->type_name("N")
      ->default_str(fmt::format("{:g}", static_cast<double>(value)));
  return Option(option);
}

// The names of an option, as written: "--lr", "-b".
std::vector<std::string> option_names(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const auto& name : option.get_lnames()) names.push_back("--" + name);
  for (const auto& name : option.get_snames()) names.push_back("-" + name);
  return names;
}

bool is_number(const std::string& text) {
  char* end = nullptr;
  std::strtod(text.c_str(), &end);
  return !text.empty() && *end == 0;
}

[[noreturn]] void missing(const CLI::App& app, const std::string& argument) {
  throw UsageError(
      concat_text(app.get_name(), ": the argument ", argument, " is missing; hint: usage: ", usage_of(app)));
}

// Goes through the words as the parser will, and refuses what it would refuse, in better words: unknown
// commands and options with the nearest match, options without or with two values, missing and unexpected
// arguments.
class Words {
 public:
  explicit Words(const CLI::App& app) : app_(&app) {}

  void check_all(const std::vector<std::string>& args) {
    for (size_t i = 0; i < args.size(); ++i) {
      const std::string& word = args[i];
      if (word == "--") {
        positionals_.insert(positionals_.end(), args.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                            args.end());
        break;
      }
      if (is_option(word)) {
        if (takes_next(word, i + 1 < args.size() ? &args[i + 1] : nullptr)) ++i;
      } else if (const auto commands = subcommands(); !commands.empty()) {
        enter(word, commands);
      } else {
        positionals_.push_back(word);
      }
    }
    if (!help_) check_arguments();
  }

 private:
  static bool is_option(const std::string& word) {
    return word.size() > 1 && word[0] == '-' && !is_number(word);
  }

  // "data synth: ", nothing before a command is known.
  std::string place() const { return app_->get_parent() ? usage_head().substr(5) + ": " : ""; }

  std::vector<const CLI::App*> subcommands() const {
    return app_->get_subcommands([](const CLI::App*) { return true; });
  }

  void enter(const std::string& word, const std::vector<const CLI::App*>& commands) {
    std::vector<std::string> names;
    for (const CLI::App* candidate : commands) {
      names.push_back(candidate->get_name());
      if (names.back() == word) {
        app_ = candidate;
        return;
      }
    }
    const std::string near = nearest(word, names);
    check(false, place(), "unknown command '", escaped(word),
          "'; hint: ", near.empty() ? "see " + usage_head() + " --help" : "did you mean " + near + "?");
  }

  // Whether the option uses up the next word as its value.
  bool takes_next(const std::string& word, const std::string* next) {
    const bool is_long = word[1] == '-';
    const std::string name = is_long ? word.substr(0, word.find('=')) : word.substr(0, 2);
    const CLI::Option* option = nullptr;
    std::vector<std::string> names;
    for (const CLI::App* at = app_; at; at = at->get_parent())
      for (const CLI::Option* candidate : at->get_options())
        for (const auto& spelling : option_names(*candidate)) {
          names.push_back(spelling);
          if (spelling == name && !option) option = candidate;
        }
    if (!option) {
      const std::string near = is_long ? nearest(name, names) : "";
      check(false, place(), "unknown option ", escaped(name),
            "; hint: ", near.empty() ? "see " + usage_head() + " --help" : "did you mean " + near + "?");
    }
    help_ = help_ || name == "--help" || name == "-h" || name == "--version";
    const bool inline_value = word.size() > name.size();
    if (option->get_items_expected_max() == 0) {  // a flag
      check(!is_long || !inline_value, place(), name, " takes no value, got ", escaped(word));
      return false;
    }
    check(++given_[option] == 1, place(), name, " is given twice");
    check(inline_value || (next && !is_option(*next)), place(), name, " needs a value: ", name, " ",
          option->get_type_name());
    return !inline_value;
  }

  void check_arguments() const {
    const auto commands = subcommands();
    if (!commands.empty()) {
      std::string list;
      for (const CLI::App* command : commands) list += (list.empty() ? "" : ", ") + command->get_name();
      check(!app_->get_parent(), place(), "a command is missing; hint: one of ", list);
      return;  // tern alone prints its help
    }
    for (const CLI::Option* option :
         app_->get_options([](const CLI::Option* o) { return o->nonpositional(); }))
      check(!option->get_required() || given_.count(option), place(), option->get_name(false, false),
            " is missing; hint: usage: ", usage_of(*app_));
    size_t position = 0;
    for (const CLI::Option* option :
         app_->get_options([](const CLI::Option* o) { return o->get_positional(); })) {
      if (option->get_required() && position >= positionals_.size())
        missing(*app_, option->get_name(true, false));
      if (option->get_expected_max() >= CLI::detail::expected_max_vector_size) return;
      ++position;
    }
    check(position >= positionals_.size(), place(), "unexpected argument '",
          escaped(positionals_.size() > position ? positionals_[position] : ""),
          "'; hint: usage: ", usage_of(*app_));
  }

  std::string usage_head() const {
    const std::string usage = usage_of(*app_);
    return usage.substr(0, usage.find(" [OPTIONS]"));
  }

  const CLI::App* app_;
  std::vector<std::string> positionals_;
  std::map<const CLI::Option*, int> given_;
  bool help_ = false;
};

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

namespace {

CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& purpose,
                      const std::string& examples) {
  CLI::App* sub = parent.add_subcommand(name, purpose)->group("Commands");
  sub->footer("Examples:\n" + examples +
              "\nAlso --json, --quiet, --no-progress, --color, --device, --threads: see tern --help.");
  sub->set_help_flag("-h,--help", "Print this help and exit")->group("");  // known to all
  return sub;
}

std::string listed(const std::vector<std::string>& words) {
  std::string list;
  for (const auto& word : words) list += (list.empty() ? "" : ", ") + word;
  return list;
}

}  // namespace

void Command::refuse_missing(const std::string& argument) const { missing(*app_, argument); }

Cli::Cli()
    : app_(std::make_unique<CLI::App>(
          "tern: train and use a face network that tells whether photos show the same person", "tern")) {
  app_->formatter(std::make_shared<HelpFormatter>());
  app_->set_version_flag("--version", "tern " TERN_VERSION, "Print the version and exit");
  app_->require_subcommand(0, 1);
  app_->fallthrough();
  app_->set_help_flag("-h,--help", "Print this help and exit");
  Command all(*this, app_.get());
  all.heading("Options");
  all.flag("--json", global.json, "Print one JSON object on stdout");
  all.flag("-q,--quiet", global.quiet, "No progress and no notes");
  all.flag("--no-progress", global.no_progress, "Plain lines instead of a progress bar");
  all.choice("--color", global.color, {"auto", "always", "never"}, "Colours on stderr");
  all.choice("--device", global.device, {"cpu", "cuda"}, "Where to compute");
  all.number("--threads", global.threads, {0, 1024}, "Threads; 0: one for each processor");
  all.heading("Options of every command");
  app_->footer(
      "Examples:\n"
      "  tern demo                                  train on drawn people and write a report, in about a "
      "minute\n"
      "  tern train --data photos --max-steps 2000  train on photos/PERSON/PHOTO\n"
      "  tern verify MODEL a.jpg b.jpg              do two photos show the same person?\n"
      "Each command explains itself: tern COMMAND --help. Exit codes: 0 done, 1 negative verdict under\n"
      "--exit-code, 2 usage, 3 bad data, 4 I/O, 5 memory, 6 numeric fault, 7 incompatible file, 8 device,\n"
      "70 internal bug, 130 and 143 interrupted (after saving).");
}

Cli::~Cli() = default;

Command Cli::command(const std::string& name, const std::string& purpose, const std::string& examples,
                     Command::Run run) {
  CLI::App* sub = add_command(*app_, name, purpose, examples);
  commands_.emplace_back(sub, std::move(run));
  return {*this, sub};
}

Command Command::command(const std::string& name, const std::string& purpose, const std::string& examples,
                         Run run) {
  CLI::App* sub = add_command(*app_, name, purpose, examples);
  app_->require_subcommand(1);
  cli_->commands_.emplace(cli_->commands_.begin(), sub, std::move(run));  // found before its parent
  return {*cli_, sub};
}

void Command::heading(const std::string& text) {
  for (CLI::Option* option : app_->get_options([](const CLI::Option* o) { return o->nonpositional(); }))
    if (option->get_group() == "Options") option->group(text);
}

Option Command::flag(const std::string& names, bool& value, const std::string& help) {
  return Option(app_->add_flag(names, value, help));
}
Option Command::text(const std::string& names, std::string& value, const std::string& help) {
  return Option(app_->add_option(names, value, help));
}
Option Command::texts(const std::string& names, std::vector<std::string>& values, const std::string& help) {
  return Option(app_->add_option(names, values, help));
}
Option Command::number(const std::string& names, double& value, Range range, const std::string& help) {
  return add_number(app_, names, value, range, help, false);
}
Option Command::number(const std::string& names, int64_t& value, Range range, const std::string& help) {
  return add_number(app_, names, value, range, help, true);
}
Option Command::number(const std::string& names, int& value, Range range, const std::string& help) {
  return add_number(app_, names, value, range, help, true);
}
Option Command::seed(uint64_t& value, const std::string& help) {
  return add_number(app_, "--seed", value, {0, 9007199254740992.0}, help, true);
}
Option Command::choice(const std::string& names, std::string& value, const std::vector<std::string>& allowed,
                       const std::string& help) {
  return text(names, value, help + ": " + listed(allowed)).one_of(allowed).type("NAME").show_default();
}

std::vector<Option> Command::options() const {
  std::vector<Option> all;
  for (CLI::Option* option : app_->get_options()) all.emplace_back(option);
  return all;
}
std::optional<Option> Command::option(const std::string& name) const {
  CLI::Option* option = app_->get_option_no_throw("--" + name);
  return option ? std::optional<Option>(option) : std::nullopt;
}

Option& Option::type(const std::string& name) { return option_->type_name(name), *this; }
Option& Option::required() { return option_->required(), *this; }
Option& Option::show_default() { return option_->capture_default_str(), *this; }
Option& Option::show_default(const std::string& text) { return option_->default_str(text), *this; }
Option& Option::one_of(const std::vector<std::string>& allowed) {
  option_->check(CLI::Validator(
      [allowed](std::string& text) -> std::string {
        if (std::find(allowed.begin(), allowed.end(), text) != allowed.end()) return {};
        const std::string near = nearest(text, allowed);
        return fmt::format("'{}' is not one of {}{}", escaped(text), listed(allowed),
                           near.empty() ? "" : fmt::format("; hint: did you mean {}?", near));
      },
      ""));
  return *this;
}

std::string Option::name() const {
  return option_->get_lnames().empty() ? std::string() : option_->get_lnames()[0];
}
bool Option::given() const { return option_->count() > 0; }
std::vector<std::string> Option::values() const { return option_->results(); }
std::string Option::default_text() const { return option_->get_default_str(); }
void Option::give(const std::vector<std::string>& values) {
  for (const auto& value : values) option_->add_result(value);
  if (!values.empty()) option_->run_callback();
}

Device device_of(const GlobalOptions& global) {
  const Device device{global.device == "cuda" ? DeviceType::Cuda : DeviceType::Cpu};
  require_device(device);
  return device;
}

int Cli::run(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  Words(*app_).check_all(args);
  try {
    app_->parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app_->exit(e);  // --help and --version
  } catch (const CLI::ParseError& e) {
    throw UsageError(e.what());
  }
  if (global.threads > 0) set_num_threads(global.threads);
  device_of(global);
  for (const auto& [sub, run] : commands_) {
    if (!sub->parsed()) continue;
    check<DeviceError>(global.device == "cpu" || sub->get_name() == "train" || sub->get_name() == "bench",
                       "device cuda: tern ", sub->get_name(), " computes on the CPU; hint: use --device cpu");
    Command command(*this, sub);
    return run(command);
  }
  std::cout << app_->help();
  return 0;
}

}  // namespace tern::app
