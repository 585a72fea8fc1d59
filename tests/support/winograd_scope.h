#pragma once
// Winograd's convolutions on or off for a scope, whatever TERN_WINOGRAD says.

#include "tern/cpu/conv2d_winograd.h"

namespace tern::test {

class WinogradScope {
 public:
  explicit WinogradScope(bool on) : before_(cpu::winograd_enabled()) { cpu::set_winograd_enabled(on); }
  ~WinogradScope() { cpu::set_winograd_enabled(before_); }
  WinogradScope(const WinogradScope&) = delete;
  WinogradScope& operator=(const WinogradScope&) = delete;

 private:
  bool before_;
};

}  // namespace tern::test
