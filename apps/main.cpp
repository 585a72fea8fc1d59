// The tern command: one binary on the public library. Every error becomes one clear text on stderr and an
// exit code: 0 done, 1 negative verdict under --exit-code, 2 usage, 3 bad data, 4 I/O, 5 memory, 6 numeric
// fault, 7 incompatible file, 8 device, 70 internal bug, 130/143 interrupted (after saving).

#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <iostream>
#include <new>
#include <string>

#include "tern/apps/cli.h"
#include "tern/apps/commands.h"
#include "tern/core/error.h"

namespace {

// "conv2d: ...; hint: ..." on two lines.
int report(const std::string& text, int code) {
  const size_t hint = text.find("; hint: ");
  std::cerr << "error: " << text.substr(0, hint) << '\n';
  if (hint != std::string::npos) std::cerr << "  hint: " << text.substr(hint + 8) << '\n';
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  // A file-size limit that is reached is an error of write(), reported like a full disk, not a death.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    tern::app::Cli cli;
    tern::app::add_commands(cli);
    const int code = cli.run(argc, argv);
    std::cout.flush();
    if (!std::cout)
      throw tern::IoError(std::string("cannot write the answer to standard output: ") + std::strerror(errno));
    return code;
  } catch (const tern::Error& error) {
    return report(error.what(), error.exit_code());
  } catch (const std::bad_alloc&) {
    return report("out of memory; hint: use a smaller batch or image size",
                  static_cast<int>(tern::ErrorKind::Memory));
  } catch (const std::exception& error) {
    return report(
        std::string("internal: ") + error.what() + "; hint: this is a bug in tern, please report it",
        static_cast<int>(tern::ErrorKind::Internal));
  }
}
