// The scheduler: one fiber per CUDA thread, switched in a dozen instructions of assembly.

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <numeric>
#include <random>

#include "tern/tests/nogpu/checker.h"
#include "tern/tests/nogpu/grid.h"
#include "tern/tests/nogpu/tally.h"

#if defined(NOGPU_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// nogpu_switch(void** save, void* to): keeps the callee-saved registers on this stack and goes on with
// another.
asm(R"(.text
.globl nogpu_switch
.type nogpu_switch,@function
nogpu_switch:
  pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
  movq %rsp,(%rdi); movq %rsi,%rsp
  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
  ret
.size nogpu_switch,.-nogpu_switch
)");
extern "C" void nogpu_switch(void** save, void* to);

namespace nogpu {

Indices indices;
Grid grid;

namespace {

constexpr size_t kSavedRegisters = 6;
constexpr size_t kMaxSharedBytes = 227 << 10;  // sm_90's limit for a block

ThreadOrder thread_order = ThreadOrder::Ascending;
Counts total;
std::vector<char*> stacks;  // free ones; kept for the next block
void* scheduler_stack_pointer;
// For AddressSanitizer.
[[maybe_unused]] void* scheduler_fake_stack;
[[maybe_unused]] const void* scheduler_stack_bottom;
[[maybe_unused]] size_t scheduler_stack_bytes;

struct Abandoned {};  // unwinds a fiber

void switch_to(Thread& thread) {
  const unsigned i = thread.id;
  grid.current = &thread;
  indices.thread = {i % indices.block_size.x, i / indices.block_size.x % indices.block_size.y,
                    i / (indices.block_size.x * indices.block_size.y)};
#if defined(NOGPU_ASAN)
  __sanitizer_start_switch_fiber(&scheduler_fake_stack, thread.stack, kStackBytes);
#endif
  nogpu_switch(&scheduler_stack_pointer, thread.stack_pointer);
#if defined(NOGPU_ASAN)
  __sanitizer_finish_switch_fiber(scheduler_fake_stack, nullptr, nullptr);
#endif
  grid.current = nullptr;
}

void switch_to_scheduler(Thread& thread, bool for_good) {
#if defined(NOGPU_ASAN)
  __sanitizer_start_switch_fiber(for_good ? nullptr : &thread.fake_stack, scheduler_stack_bottom,
                                 scheduler_stack_bytes);
#else
  (void)for_good;
#endif
  nogpu_switch(&thread.stack_pointer, scheduler_stack_pointer);
#if defined(NOGPU_ASAN)
  __sanitizer_finish_switch_fiber(thread.fake_stack, &scheduler_stack_bottom, &scheduler_stack_bytes);
#endif
}

void fiber_entry() {
  Thread& thread = *grid.current;
#if defined(NOGPU_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack_bottom, &scheduler_stack_bytes);
#endif
  try {
    grid.call->run(grid.call->data.get());
  } catch (const Abandoned&) {
    // grid.error says why.
  }
  thread.state = State::Done;
  grid.warps[thread.id / 32].gone |= 1u << thread.id % 32;
  --grid.live;
  switch_to_scheduler(thread, true);
  std::abort();  // nobody resumes a fiber that is done
}

char* take_stack() {
  if (stacks.empty()) {
    void* memory = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw Fault("no memory for a fiber's stack");
    mprotect(memory, 4096, PROT_NONE);  // an overflow faults
    stacks.push_back(static_cast<char*>(memory));
  }
  char* stack = stacks.back();
  stacks.pop_back();
  return stack;
}

void start(Thread& thread, unsigned id) {
  thread.id = id;
  thread.stack = take_stack();
  auto** top = reinterpret_cast<void**>(thread.stack + kStackBytes) - 1;
  *--top = reinterpret_cast<void*>(fiber_entry);
  top -= kSavedRegisters;
  std::fill(top, top + kSavedRegisters, nullptr);
  thread.stack_pointer = top;
}

void give_back_stacks() {
  for (Thread& thread : grid.threads) {
    if (!thread.stack) continue;
#if defined(NOGPU_ASAN)
    if (thread.state != State::Done)  // its frames were not left
      __asan_unpoison_memory_region(thread.stack + 4096, kStackBytes - 4096);
#endif
    stacks.push_back(std::exchange(thread.stack, nullptr));
  }
}

void report_deadlock() {
  std::map<std::string, int> waiting;
  for (const Thread& thread : grid.threads)
    if (thread.state != State::Done)
      ++waiting[(thread.state == State::AtBarrier ? "__syncthreads at " : "a warp operation at ") +
                describe(thread.where)];
  grid.error = std::string(grid.kernel) + ": deadlock:";
  for (const auto& [what, count] : waiting)
    grid.error += " " + std::to_string(count) + " threads in " + what + ",";
  grid.error += " " + std::to_string(grid.block_threads - grid.live) + " have returned";
}

void run_block(const std::vector<unsigned>& order) {
  grid.threads.resize(grid.block_threads);
  for (Thread& thread : grid.threads) thread.state = State::Ready;
  grid.warps.assign((grid.block_threads + 31) / 32, Warp{});
  if (const unsigned rest = grid.block_threads % 32) grid.warps.back().gone = ~0u << rest;
  grid.live = grid.block_threads;
  grid.waiting = 0;
  grid.predicate_sum = 0;
  grid.block_phase = ++grid.phase;
  if (grid.shared_bytes) std::memset(grid.shared, 0xFF, grid.shared_bytes);  // NaN: nobody has written it
  while (grid.live && grid.error.empty()) {
    bool ran = false;
    for (const unsigned id : order) {
      Thread& thread = grid.threads[id];
      if (thread.state != State::Ready) continue;
      if (!thread.stack) start(thread, id);
      switch_to(thread);
      ran = true;
      if (!grid.error.empty()) break;
    }
    if (!ran) report_deadlock();
  }
  give_back_stacks();
}

}  // namespace

void set_thread_order(ThreadOrder order) { thread_order = order; }
Counts counts() {
  total.checked_accesses = checked_accesses();
  return total;
}
unsigned lane() { return grid.current->id % 32; }
void* dynamic_shared() { return grid.shared; }

std::string describe(const Where& where) {
  const char* slash = std::strrchr(where.file_name(), '/');
  return std::string(slash ? slash + 1 : where.file_name()) + ":" + std::to_string(where.line());
}

std::string describe_thread() {
  const auto& b = indices.block;
  return std::string(grid.kernel) + " block (" + std::to_string(b.x) + "," + std::to_string(b.y) + "," +
         std::to_string(b.z) + ") thread " + std::to_string(grid.current->id);
}

void abandon(const std::string& what) {
  grid.error = what;
  switch_to_scheduler(*grid.current, true);
  std::abort();
}

void fault(const std::string& what, Where where) {
  grid.error = describe_thread() + ": " + describe(where) + ": " + what;
  throw Abandoned{};
}

int sync_block(int predicate, Where where) {
  Thread& thread = *grid.current;
  thread.state = State::AtBarrier;
  thread.where = where;
  grid.predicate_sum += predicate;
  if (grid.live != grid.block_threads)
    fault("__syncthreads, but " + std::to_string(grid.block_threads - grid.live) + " threads have returned",
          where);
  if (++grid.waiting < grid.block_threads) {
    switch_to_scheduler(thread, false);
    return grid.predicate_result;
  }
  for (Thread& other : grid.threads) {
    if (other.where.line() != where.line() || std::strcmp(other.where.file_name(), where.file_name()) != 0)
      fault("divergent barrier: another thread is at " + describe(other.where), where);
    other.state = State::Ready;
  }
  grid.waiting = 0;
  grid.predicate_result = std::exchange(grid.predicate_sum, 0);
  ++grid.phase;
  ++total.barriers;
  return grid.predicate_result;
}

const uint64_t* warp_exchange(unsigned mask, int operation, uint64_t value, Where where) {
  Thread& thread = *grid.current;
  const unsigned me = thread.id % 32, first = thread.id - me;
  Warp& warp = grid.warps[thread.id / 32];
  ++total.warp_operations;
  if (!(mask >> me & 1)) fault("the calling lane is not in its own mask", where);
  if (const unsigned gone = mask & warp.gone)
    fault("the mask names lane " + std::to_string(std::countr_zero(gone)) +
              ", which has returned or does not exist",
          where);
  thread.state = State::AtWarp;
  thread.mask = mask;
  thread.operation = operation;
  thread.value = value;
  thread.where = where;
  warp.waiting |= 1u << me;
  bool complete = (warp.waiting & mask) == mask;
  for (unsigned i = 0; i < 32 && complete; ++i)
    complete = !(mask >> i & 1) || grid.threads[first + i].mask == mask;
  if (!complete) {  // the last to come completes it
    switch_to_scheduler(thread, false);
    return thread.received;
  }
  uint64_t all[32] = {};
  for (unsigned i = 0; i < 32; ++i) {
    if (!(mask >> i & 1)) continue;
    const Thread& other = grid.threads[first + i];
    if (other.operation != operation || other.where.line() != where.line())
      fault("divergent warp operation: another lane is at " + describe(other.where), where);
    all[i] = other.value;
  }
  for (unsigned i = 0; i < 32; ++i) {
    if (!(mask >> i & 1)) continue;
    Thread& other = grid.threads[first + i];
    for (unsigned k = 0; k < 32; ++k) other.received[k] = all[k];
    other.state = State::Ready;
  }
  warp.waiting &= ~mask;
  ++warp.phase;
  return thread.received;
}

void run_grid(const char* kernel, dim3 size, dim3 block, size_t shared_bytes, const Call& call) {
  const size_t threads = size_t{block.x} * block.y * block.z, blocks = size_t{size.x} * size.y * size.z;
  if (threads == 0 || threads > 1024 || block.z > 64 || blocks == 0 || size.y > 65535 || size.z > 65535 ||
      shared_bytes > kMaxSharedBytes)
    throw Fault(std::string(kernel) + ": no valid launch: " + std::to_string(blocks) + " blocks of " +
                std::to_string(threads) + " threads, " + std::to_string(shared_bytes) + " bytes shared");
  const std::unique_ptr<char[]> shared(shared_bytes ? new char[shared_bytes] : nullptr);
  grid.kernel = kernel;
  grid.call = &call;
  grid.block_threads = static_cast<unsigned>(threads);
  grid.shared = shared.get();
  grid.shared_bytes = shared_bytes;
  grid.error.clear();
  grid.launch_phase = ++grid.phase;
  indices.block_size = block;
  indices.grid_size = size;
  ++total.launches;
  total.threads += threads * blocks;
  checker_begin_grid();
  tally("kernel", kernel);

  std::vector<unsigned> order(threads);
  std::iota(order.begin(), order.end(), 0u);
  if (thread_order == ThreadOrder::Descending) std::reverse(order.begin(), order.end());
  std::mt19937 random(17);
  for (size_t i = 0; i < blocks && grid.error.empty(); ++i) {
    // The blocks of a grid run in any order, too.
    const size_t b = thread_order == ThreadOrder::Descending ? blocks - 1 - i : i;
    if (thread_order == ThreadOrder::Shuffled) std::shuffle(order.begin(), order.end(), random);
    indices.block = {static_cast<unsigned>(b % size.x), static_cast<unsigned>(b / size.x % size.y),
                     static_cast<unsigned>(b / (size_t{size.x} * size.y))};
    run_block(order);
  }
  if (!grid.error.empty()) throw Fault(grid.error);
}

}  // namespace nogpu
