#pragma once
// The command line on top of CLI11: commands and options with strict values and helpful refusals.
//
// CLI11 2.1 accepts nan and inf for a number, has no suggestion for a misspelt option and exit codes of its
// own; this wrapper is the one place that mends it, and the one that would change with the parser. The parser
// is a template library that takes ten seconds to compile: only cli.cpp and help.cpp see it.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tern/core/device.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace tern::app {

class Cli;

// Options that every command takes.
struct GlobalOptions {
  bool json = false;         // one JSON object on stdout instead of text
  bool quiet = false;        // no progress, no notes on stderr
  bool no_progress = false;  // plain lines also on a terminal
  std::string color = "auto";
  std::string device = "cpu";
  int threads = 0;  // 0: all processors
};

// Of --device. Throws DeviceError, saying what is missing and what to do, where it cannot be used.
Device device_of(const GlobalOptions& global);

struct Range {
  double low, high;
};

// One option or argument of a command, to say more about it:
//   command.text("--out", out, "Folder of runs").type("DIR").show_default();
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}
  Option& type(const std::string& name);  // what help calls the value
  Option& required();
  Option& show_default();  // in help: the value it has now
  Option& show_default(const std::string& text);
  Option& one_of(const std::vector<std::string>& allowed);

  std::string name() const;  // the long one without dashes; empty for arguments
  bool given() const;        // on the command line, or by give()
  std::vector<std::string> values() const;
  std::string default_text() const;
  void give(const std::vector<std::string>& values);  // as if they stood on the command line

 private:
  CLI::Option* option_;
};

// A command, or a command of a command ("data synth").
class Command {
 public:
  using Run = std::function<int(Command&)>;
  Command(Cli& cli, CLI::App* app) : cli_(&cli), app_(app) {}

  // names: "--lr,--learning-rate", or "MODEL" for an argument. value holds the default, and must outlive the
  // parse.
  Option flag(const std::string& names, bool& value, const std::string& help);
  Option text(const std::string& names, std::string& value, const std::string& help);
  Option texts(const std::string& names, std::vector<std::string>& values, const std::string& help);
  // A number in the range; anything else, nan included, is refused naming option, value and range.
  Option number(const std::string& names, double& value, Range range, const std::string& help);
  Option number(const std::string& names, int64_t& value, Range range, const std::string& help);
  Option number(const std::string& names, int& value, Range range, const std::string& help);
  Option seed(uint64_t& value, const std::string& help);
  Option choice(const std::string& names, std::string& value, const std::vector<std::string>& allowed,
                const std::string& help);
  // Puts the options added since the last call under a heading of the help.
  void heading(const std::string& text);

  // A command below this one, which then needs one of them.
  Command command(const std::string& name, const std::string& purpose, const std::string& examples, Run run);

  std::vector<Option> options() const;
  std::optional<Option> option(const std::string& name) const;  // by its long name without dashes
  // Throws UsageError that an argument is missing, with the command's usage.
  [[noreturn]] void refuse_missing(const std::string& argument) const;

 private:
  friend class Cli;
  Cli* cli_;
  CLI::App* app_;
};

class Cli {
 public:
  Cli();
  ~Cli();
  Cli(const Cli&) = delete;
  Cli& operator=(const Cli&) = delete;

  // A command with its one-line purpose and runnable examples. run() is called after a successful parse.
  Command command(const std::string& name, const std::string& purpose, const std::string& examples,
                  Command::Run run);

  // Parses and runs; returns the exit code. Throws UsageError.
  int run(int argc, char** argv);

  GlobalOptions global;

 private:
  friend class Command;
  std::unique_ptr<CLI::App> app_;
  std::vector<std::pair<CLI::App*, Command::Run>> commands_;
};

// The candidate nearest to a misspelt word by edit distance; empty if none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace tern::app
