#include "tern/train/signals.h"

#include <signal.h>

#include <atomic>

#include "tern/core/error.h"

namespace tern {
namespace {

std::atomic<int> signal_received{0};
std::atomic<bool> guarded{false};
struct sigaction before_interrupt, before_terminate;
static_assert(std::atomic<int>::is_always_lock_free);  // a handler may touch nothing else

void handle(int signal) {
  signal_received = signal;
  // The next one, of either kind, ends the process the way it would have without us.
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGTERM, SIG_DFL);
}

}  // namespace

SignalGuard::SignalGuard() {
  check(!guarded.exchange(true), "SignalGuard: there is one already");
  signal_received = 0;
  struct sigaction action {};
  action.sa_handler = handle;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;  // reads of photos go on
  sigaction(SIGINT, &action, &before_interrupt);
  sigaction(SIGTERM, &action, &before_terminate);
}

SignalGuard::~SignalGuard() {
  sigaction(SIGINT, &before_interrupt, nullptr);
  sigaction(SIGTERM, &before_terminate, nullptr);
  guarded = false;
}

int SignalGuard::received() { return signal_received; }

}  // namespace tern
