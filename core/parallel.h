#pragma once
// The thread pool. parallel_for cuts [0, n) into chunks that are multiples of grain and runs body on each, on
// this thread and on the pool's. Chunks go to whoever is free, so a body must only write outputs of its own
// chunk; sums across chunks are the caller's, over tiles that do not depend on the number of threads (design
// rule 15).
//
// Calls from many threads at once and calls from inside a body are allowed and cannot deadlock: the caller
// works through its own chunks even if no pool thread ever helps. The first exception of a body is rethrown
// to the caller.

#include <cstdint>
#include <type_traits>
#include <utility>

namespace tern {

int num_threads();
// 1 .. 1024; defaults to TERN_NUM_THREADS, else the processors this process may use. Throws UsageError out of
// range.
void set_num_threads(int threads);

namespace detail {
using ParallelBody = void (*)(void* context, int64_t begin, int64_t end);
void parallel_run(int64_t n, int64_t grain, ParallelBody body, void* context);
}  // namespace detail

// body(begin, end) over disjoint chunks covering [0, n).
template <class Body>
void parallel_for(int64_t n, int64_t grain, Body&& body) {
  using B = std::remove_reference_t<Body>;
  detail::parallel_run(
      n, grain, [](void* context, int64_t begin, int64_t end) { (*static_cast<B*>(context))(begin, end); },
      const_cast<std::remove_const_t<B>*>(&body));
}

}  // namespace tern
