#include "tern/tests/nogpu/tally.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <set>

namespace nogpu {
namespace {

struct Tally {
  const char* file = std::getenv("TERN_NOGPU_TALLY");
  std::set<std::string> lines;

  ~Tally() {
    if (!file || lines.empty()) return;
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    const int out = open(file, O_WRONLY | O_CREAT | O_APPEND, 0644);  // one write: programs run side by side
    if (out < 0 || write(out, text.data(), text.size()) != static_cast<ssize_t>(text.size())) std::abort();
    close(out);
  }
};

}  // namespace

void tally(const char* kind, const std::string& what) {
  static Tally all;
  if (all.file) all.lines.insert(kind + (" " + what));
}

}  // namespace nogpu
