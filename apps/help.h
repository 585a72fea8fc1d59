#pragma once
// How `--help` looks: one option a line, name, then meaning and default, wrapped to the width of a terminal.

#include <CLI/CLI.hpp>

#include <string>

namespace tern::app {

class HelpFormatter final : public CLI::Formatter {
 public:
  std::string make_option(const CLI::Option* option, bool positional) const override;
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
  std::string make_usage(const CLI::App* app, std::string name) const override;
};

// "tern data synth [OPTIONS] FOLDER", for help and for errors about missing arguments.
std::string usage_of(const CLI::App& app);

}  // namespace tern::app
