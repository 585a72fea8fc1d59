#pragma once
// The state of the grid that runs, shared by the scheduler (fibers.cpp) and the memory checker (checker.cpp).

#include <cstdint>
#include <string>
#include <vector>

#include "tern/tests/nogpu/emulator.h"

namespace nogpu {

inline constexpr size_t kStackBytes = size_t{128} << 10;

enum class State : uint8_t { Ready, AtBarrier, AtWarp, Done };

struct Thread {
  void* stack_pointer = nullptr;
  char* stack = nullptr;  // lowest address
  State state = State::Ready;
  unsigned id = 0, mask = 0;
  int operation = 0;  // of the warp operation it waits in
  Where where;
  uint64_t value = 0, received[32];
  void* fake_stack = nullptr;  // of AddressSanitizer
};

struct Warp {
  unsigned waiting = 0;  // lanes in a warp operation
  unsigned gone = 0;     // lanes that have returned or do not exist
  uint32_t phase = 0;    // warp operations completed
};

struct Grid {
  const char* kernel = "";
  unsigned block_threads = 0, live = 0, waiting = 0;
  int predicate_sum = 0, predicate_result = 0;
  std::vector<Thread> threads;
  Thread* current = nullptr;  // null while no kernel code runs
  const Call* call = nullptr;
  char* shared = nullptr;  // dynamic shared memory
  size_t shared_bytes = 0;
  std::string error;  // the fault that ended the grid

  // Time for the checker: a phase passes with every barrier of a block, with every block and with every
  // launch.
  uint32_t phase = 1, launch_phase = 1, block_phase = 1;
  std::vector<Warp> warps;  // of the block
};
extern Grid grid;

// Runs the whole grid now. Throws Fault.
void run_grid(const char* kernel, dim3 size, dim3 block, size_t shared_bytes, const Call& call);

// Ends the running fiber and the grid with an error, without unwinding: for the compiler's hooks, through
// which no exception can pass. fault() (emulator.h) unwinds.
[[noreturn]] void abandon(const std::string& what);
std::string describe_thread();
std::string describe(const Where& where);

}  // namespace nogpu
