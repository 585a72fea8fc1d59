#include "tern/core/parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "tern/core/error.h"

namespace tern {
namespace {

// One parallel_for. Its grains lie in slices, one per thread: a thread takes from the front of its slice, a
// quarter of what is left at a time, so that it meets the same part of the data in every region and finds it
// in its cache, and then helps itself to the ends of others' slices. A thread that wakes late finds its slice
// gone; nobody waits for what has not begun. The job lives on the caller's stack; helpers counts the pool
// threads inside it, and the caller leaves only when none is.
class Job {
 public:
  Job(int64_t n, int64_t grain, int threads, detail::ParallelBody body, void* context)
      : n_(n),
        grain_(std::max(grain, n / kMostGrains + 1)),
        slices_(std::min(threads, kSlices)),
        body_(body),
        context_(context) {
    const int64_t grains = (n + grain_ - 1) / grain_;
    for (int s = 0; s < slices_; ++s)
      left_[s].range.store(pack(s * grains / slices_, (s + 1) * grains / slices_), std::memory_order_relaxed);
  }

  std::atomic<int> helpers{0};

  bool exhausted() const {
    for (int s = 0; s < slices_; ++s)
      if (!is_empty(left_[s].range.load(std::memory_order_relaxed))) return false;
    return true;
  }

  void work(int thread) {
    const int own = thread % slices_;
    Grains taken;
    while (take(left_[own].range, true, taken)) run(taken);
    for (int s = 1; s < slices_; ++s)
      while (take(left_[(own + s) % slices_].range, false, taken)) run(taken);
  }

  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  static constexpr int kSlices = 64;
  static constexpr int64_t kMostGrains = int64_t{1} << 30;
  struct Grains {
    int64_t begin, end;
  };
  struct alignas(64) Slice {  // a cache line each
    std::atomic<uint64_t> range;
  };

  // Grains [begin, end) that nobody has begun, in one word.
  static uint64_t pack(int64_t begin, int64_t end) {
    return static_cast<uint64_t>(end) << 32 | static_cast<uint64_t>(begin);
  }
  static int64_t begin_of(uint64_t range) { return static_cast<int64_t>(range & 0xffffffffu); }
  static int64_t end_of(uint64_t range) { return static_cast<int64_t>(range >> 32); }
  static bool is_empty(uint64_t range) { return begin_of(range) >= end_of(range); }

  static bool take(std::atomic<uint64_t>& slice, bool front, Grains& taken) {
    uint64_t range = slice.load(std::memory_order_relaxed);
    while (!is_empty(range)) {
      const int64_t begin = begin_of(range), end = end_of(range), part = (end - begin + 3) / 4;
      taken = front ? Grains{begin, begin + part} : Grains{end - part, end};
      const uint64_t rest = front ? pack(begin + part, end) : pack(begin, end - part);
      if (slice.compare_exchange_weak(range, rest, std::memory_order_relaxed)) return true;
    }
    return false;
  }

  void run(Grains grains) {
    try {
      body_(context_, grains.begin * grain_, std::min(grains.end * grain_, n_));
    } catch (...) {
      std::lock_guard lock(error_mutex_);
      if (!error_) error_ = std::current_exception();
      for (int s = 0; s < slices_; ++s) left_[s].range.store(0, std::memory_order_relaxed);
    }
  }

  int64_t n_, grain_;
  int slices_;
  detail::ParallelBody body_;
  void* context_;
  std::mutex error_mutex_;
  std::exception_ptr error_;
  Slice left_[kSlices];
};

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Spins until ready() or until the time is better spent asleep. On a busy machine a spinning thread uses up
// its share of the processor and is taken off it when work comes, while a sleeping one is put on at once: a
// thread that finds it was interrupted spins less from then on.
class Spinner {
 public:
  template <class Ready>
  bool wait(Ready&& ready) {
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    for (auto before = start;;) {
      for (int i = 0; i < 16; ++i) {
        if (ready()) return budget_ = std::min(kMost, budget_ + budget_ / 8), true;
        relax();
      }
      const auto now = Clock::now();
      if (now - before > kInterrupted) budget_ = kLeast;
      if (now - start > budget_) return false;
      before = now;
    }
  }

 private:
  using Time = std::chrono::nanoseconds;
  static constexpr Time kLeast{8'000}, kMost{200'000}, kInterrupted{100'000};
  Time budget_ = kMost;
};

int processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

int default_threads() {
  if (const char* text = std::getenv("TERN_NUM_THREADS")) {
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    check(*text && !*end && value >= 1 && value <= 1024, "TERN_NUM_THREADS: '", escaped(text),
          "' is not a number of threads; hint: 1 to 1024");
    return static_cast<int>(value);
  }
  return std::min(processors(), 1024);
}

class Pool {
 public:
  int threads() {
    const int wanted = wanted_.load(std::memory_order_relaxed);
    return wanted > 0 ? wanted : first_threads();
  }

  void resize(int threads) {
    check(threads >= 1 && threads <= 1024, "threads: ", threads, " is out of range; hint: 1 to 1024");
    std::lock_guard resizing(resize_mutex_);
    stop_workers();
    wanted_.store(threads, std::memory_order_relaxed);
  }

  void run(Job& job) {
    {
      std::lock_guard lock(mutex_);
      start_workers();
      jobs_.push_back(&job);
      open_jobs_.store(static_cast<int>(jobs_.size()), std::memory_order_release);
    }
    if (sleeping_.load(std::memory_order_acquire) > 0) wake_.notify_all();
    job.work(0);
    {
      std::lock_guard lock(mutex_);
      std::erase(jobs_, &job);
      open_jobs_.store(static_cast<int>(jobs_.size()), std::memory_order_release);
    }
    // Helpers enter under mutex_ only while the job is listed, so from here the count only falls.
    const auto done = [&] { return job.helpers.load() == 0; };
    thread_local Spinner spinner;
    if (!spinner.wait(done)) {
      std::unique_lock lock(mutex_);
      ++waiting_;
      finished_.wait(lock, done);
      --waiting_;
    }
    job.rethrow();
  }

 private:
  int first_threads() {
    std::lock_guard lock(mutex_);
    if (wanted_.load() == 0) wanted_.store(default_threads());
    return wanted_.load();
  }

  void start_workers() {
    while (static_cast<int>(workers_.size()) + 1 < wanted_.load(std::memory_order_relaxed)) {
      try {
        const int thread = static_cast<int>(workers_.size()) + 1;
        workers_.emplace_back([this, thread] { worker(thread); });
      } catch (const std::system_error&) {
        return;  // the system refuses more threads: the caller does the work alone
      }
    }
  }

  void stop_workers() {
    std::vector<std::thread> old;
    {
      std::lock_guard lock(mutex_);
      old.swap(workers_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (auto& thread : old) thread.join();
    std::lock_guard lock(mutex_);
    stopping_ = false;
  }

  void worker(int thread) {
    Spinner spinner;  // catches the next job of a running step
    for (;;) {
      spinner.wait([&] { return open_jobs_.load(std::memory_order_acquire) > 0; });
      std::unique_lock lock(mutex_);
      Job* job = find_job();
      if (!job) {
        sleeping_.fetch_add(1, std::memory_order_acq_rel);
        wake_.wait(lock, [&] { return stopping_ || (job = find_job()); });
        sleeping_.fetch_sub(1, std::memory_order_acq_rel);
      }
      if (!job) return;
      job->helpers.fetch_add(1);
      lock.unlock();
      job->work(thread);
      job->helpers.fetch_sub(1);
      if (waiting_.load() > 0) {
        lock.lock();  // a caller that has counted itself now sleeps or will see the count
        finished_.notify_all();
      }
    }
  }

  Job* find_job() {
    for (Job* job : jobs_)
      if (!job->exhausted()) return job;
    return nullptr;
  }

  std::mutex mutex_, resize_mutex_;
  std::condition_variable wake_, finished_;
  std::vector<std::thread> workers_;
  std::vector<Job*> jobs_;
  std::atomic<int> open_jobs_{0}, sleeping_{0}, waiting_{0}, wanted_{0};
  bool stopping_ = false;
};

// Never destroyed: its threads sleep until the process ends.
Pool& pool() {
  static auto* instance = new Pool;
  return *instance;
}

}  // namespace

int num_threads() { return pool().threads(); }
void set_num_threads(int threads) { pool().resize(threads); }

namespace detail {

void parallel_run(int64_t n, int64_t grain, ParallelBody body, void* context) {
  if (n <= 0) return;
  if (grain < 1) grain = 1;
  const int threads = n <= grain ? 1 : num_threads();
  if (threads == 1) {
    body(context, 0, n);
    return;
  }
  Job job(n, grain, threads, body, context);
  pool().run(job);
}

}  // namespace detail
}  // namespace tern
