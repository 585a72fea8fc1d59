#include "tern/core/parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "tern/core/error.h"

namespace tern {
namespace {

// One parallel_for: chunks are taken from a counter until none is left. It lives on the caller's stack;
// helpers counts the pool threads inside it, and the caller leaves only when none is.
struct Job {
  int64_t n, chunk;
  detail::ParallelBody body;
  void* context;
  std::atomic<int64_t> next{0};
  std::atomic<int> helpers{0};
  std::mutex error_mutex;
  std::exception_ptr error;

  bool exhausted() const { return next.load(std::memory_order_relaxed) >= n; }

  void work() {
    for (;;) {
      const int64_t begin = next.fetch_add(chunk, std::memory_order_relaxed);
      if (begin >= n) return;
      try {
        body(context, begin, begin + chunk < n ? begin + chunk : n);
      } catch (...) {
        std::lock_guard lock(error_mutex);
        if (!error) error = std::current_exception();
        next.store(n, std::memory_order_relaxed);
      }
    }
  }
};

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

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
    std::lock_guard lock(mutex_);
    return threads_locked();
  }

  void resize(int threads) {
    check(threads >= 1 && threads <= 1024, "threads: ", threads, " is out of range; hint: 1 to 1024");
    std::lock_guard resizing(resize_mutex_);
    stop_workers();
    std::lock_guard lock(mutex_);
    wanted_ = threads;
  }

  void run(Job& job) {
    {
      std::lock_guard lock(mutex_);
      start_workers();
      jobs_.push_back(&job);
      open_jobs_.store(static_cast<int>(jobs_.size()), std::memory_order_release);
    }
    if (sleeping_.load(std::memory_order_acquire) > 0) wake_.notify_all();
    job.work();
    {
      std::lock_guard lock(mutex_);
      std::erase(jobs_, &job);
      open_jobs_.store(static_cast<int>(jobs_.size()), std::memory_order_release);
    }
    // Helpers enter under mutex_ only while the job is listed, so from here the count only falls.
    for (int spins = 0; job.helpers.load(std::memory_order_acquire) > 0; ++spins)
      if (spins > 2000) std::this_thread::yield();
    if (job.error) std::rethrow_exception(job.error);
  }

 private:
  int threads_locked() {
    if (wanted_ == 0) wanted_ = default_threads();
    return wanted_;
  }

  void start_workers() {
    while (static_cast<int>(workers_.size()) + 1 < threads_locked()) {
      try {
        workers_.emplace_back([this] { worker(); });
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

  void worker() {
    for (;;) {
      // A short spin catches the next job of a running step; then the thread sleeps.
      for (int spin = 0; spin < 4000 && open_jobs_.load(std::memory_order_acquire) == 0; ++spin) relax();
      std::unique_lock lock(mutex_);
      Job* job = find_job();
      if (!job) {
        sleeping_.fetch_add(1, std::memory_order_acq_rel);
        wake_.wait(lock, [&] { return stopping_ || (job = find_job()); });
        sleeping_.fetch_sub(1, std::memory_order_acq_rel);
      }
      if (!job) return;
      job->helpers.fetch_add(1, std::memory_order_relaxed);
      lock.unlock();
      job->work();
      job->helpers.fetch_sub(1, std::memory_order_release);
    }
  }

  Job* find_job() {
    for (Job* job : jobs_)
      if (!job->exhausted()) return job;
    return nullptr;
  }

  std::mutex mutex_, resize_mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> workers_;
  std::vector<Job*> jobs_;
  std::atomic<int> open_jobs_{0}, sleeping_{0};
  int wanted_ = 0;
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
  // Four chunks a thread even out unequal speeds; a chunk is a multiple of grain.
  const int64_t target = (n + threads * 4 - 1) / (threads * 4);
  const int64_t chunk = (target + grain - 1) / grain * grain;
  Job job{n, chunk, body, context, {}, {}, {}, {}};
  pool().run(job);
}

}  // namespace detail
}  // namespace tern
