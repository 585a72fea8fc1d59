#pragma once
// The command line on top of CLI11: commands and options with strict values and helpful refusals.
//
// CLI11 2.1 accepts nan and inf for a number, has no suggestion for a misspelt option and exit codes of its
// own; this wrapper is the one place that mends it, and the one that would change with the parser.

#include <CLI/CLI.hpp>

#include <functional>
#include <string>
#include <vector>

namespace tern::app {

// Options that every command takes.
struct GlobalOptions {
  bool json = false;         // one JSON object on stdout instead of text
  bool quiet = false;        // no progress, no notes on stderr
  bool no_progress = false;  // plain lines also on a terminal
  std::string color = "auto";
  std::string device = "cpu";
  int threads = 0;  // 0: all processors
};

struct Range {
  double low, high;
};

class Cli {
 public:
  Cli();

  // A command with its one-line purpose and runnable examples. run() is called after a successful parse.
  CLI::App* command(const std::string& name, const std::string& purpose, const std::string& examples,
                    std::function<int()> run);
  // A command of a command ("data synth").
  CLI::App* command(CLI::App* parent, const std::string& name, const std::string& purpose,
                    const std::string& examples, std::function<int()> run);

  // A number in [low, high]; anything else, nan included, is refused naming option, value and range.
  static CLI::Option* number(CLI::App* app, const std::string& names, double& value, Range range,
                             const std::string& help);
  static CLI::Option* number(CLI::App* app, const std::string& names, int64_t& value, Range range,
                             const std::string& help);
  static CLI::Option* number(CLI::App* app, const std::string& names, int& value, Range range,
                             const std::string& help);
  static CLI::Option* seed(CLI::App* app, uint64_t& value, const std::string& help);
  static CLI::Validator one_of(const std::vector<std::string>& allowed);
  static CLI::Option* choice(CLI::App* app, const std::string& names, std::string& value,
                             const std::vector<std::string>& allowed, const std::string& help);

  // Puts the options added since the last call under a heading of the help.
  static void heading(CLI::App* app, const std::string& text);

  // Parses and runs; returns the exit code. Throws UsageError.
  int run(int argc, char** argv);

  GlobalOptions global;

 private:
  CLI::App app_;
  std::vector<std::pair<CLI::App*, std::function<int()>>> commands_;
};

// Throws UsageError that a positional argument of a command is missing, with the command's usage.
[[noreturn]] void refuse_missing(const CLI::App& app, const std::string& argument);

// The candidate nearest to a misspelt word by edit distance; empty if none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace tern::app
