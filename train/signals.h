#pragma once
// Ctrl-C that loses nothing: in a SignalGuard's scope the first SIGINT or SIGTERM only raises a flag, which
// the trainer reads after each step (it then saves and returns); a second one ends the process at once, as it
// would have without the guard.

namespace tern {

class SignalGuard {
 public:
  SignalGuard();   // one at a time; throws UsageError for a second
  ~SignalGuard();  // puts the old handlers back
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;

  // The signal received since the guard was made, 0 if none. The exit code for it is 128 + signal.
  static int received();
};

}  // namespace tern
