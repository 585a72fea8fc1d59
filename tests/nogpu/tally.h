#pragma once
// What the tests went through, for scripts/test.sh --cuda. With TERN_NOGPU_TALLY=FILE every program appends a
// line "KIND WHAT" for each different call when it ends; without, nothing is kept.

#include <string>

namespace nogpu {

void tally(const char* kind, const std::string& what);

}  // namespace nogpu
