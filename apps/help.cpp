#include "tern/apps/help.h"

#include <fmt/format.h>

namespace tern::app {
namespace {

constexpr size_t kColumn = 30, kWidth = 100;

// Text in lines that end at a space before the right edge; all but the first begin at the column.
std::string wrapped(const std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t length = std::min(text.size() - at, kWidth - kColumn);
    if (at + length < text.size()) {
      const size_t space = text.rfind(' ', at + length);
      if (space != std::string::npos && space > at) length = space - at;
    }
    if (at > 0) out += "\n" + std::string(kColumn, ' ');
    out += text.substr(at, length);
    at += length;
    while (at < text.size() && text[at] == ' ') ++at;
  }
  return out;
}

bool unlimited(const CLI::Option& option) {
  return option.get_expected_max() >= CLI::detail::expected_max_vector_size;
}

}  // namespace

std::string HelpFormatter::make_option(const CLI::Option* option, bool positional) const {
  std::string left = positional ? option->get_name(true, false) : option->get_name(false, true);
  for (size_t at = 0; (at = left.find(',', at)) != std::string::npos; at += 2) left.replace(at, 1, ", ");
  if (!positional && option->get_items_expected_max() != 0) left += " " + option->get_type_name();
  if (unlimited(*option)) left += " ...";
  std::string text = option->get_description();
  const std::string& standard = option->get_default_str();
  if (option->get_items_expected_max() != 0 && !standard.empty())
    text += fmt::format(" (default {})", standard);
  left = "  " + left;
  const std::string gap =
      left.size() + 2 > kColumn ? "\n" + std::string(kColumn, ' ') : std::string(kColumn - left.size(), ' ');
  return left + gap + wrapped(text) + "\n";
}

std::string HelpFormatter::make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const {
  std::string text = CLI::Formatter::make_help(app, std::move(name), mode);
  for (size_t at; (at = text.find("\n\n\n")) != std::string::npos;) text.erase(at, 1);
  return text;
}

std::string HelpFormatter::make_usage(const CLI::App* app, std::string) const {
  return "\nUsage: " + usage_of(*app) + "\n";
}

std::string usage_of(const CLI::App& app) {
  std::string path;
  for (const CLI::App* at = &app; at; at = at->get_parent())
    path = at->get_name() + (path.empty() ? "" : " ") + path;
  path += " [OPTIONS]";
  for (const CLI::Option* option :
       app.get_options([](const CLI::Option* o) { return o->nonpositional() && o->get_required(); }))
    path += " " + option->get_name(false, false) + " " + option->get_type_name();
  for (const CLI::Option* option :
       app.get_options([](const CLI::Option* o) { return o->get_positional(); })) {
    const std::string name = option->get_name(true, false) + (unlimited(*option) ? "..." : "");
    path += option->get_required() ? " " + name : " [" + name + "]";
  }
  if (!app.get_subcommands([](const CLI::App*) { return true; }).empty()) path += " COMMAND";
  return path;
}

}  // namespace tern::app
