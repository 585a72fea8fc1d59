#pragma once
// cuda/kernel.h asks for this name when g++ compiles a kernel file; only the tests of tests/nogpu have it.
#include "tern/tests/nogpu/emulator.h"
