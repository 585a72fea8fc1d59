#include "tern/core/cuda_options.h"

#include <atomic>

namespace tern {
namespace {

// One bit an option: three bools in one atomic would need a library of their own.
constexpr unsigned kTf32 = 1, kDeterministic = 2, kAutotune = 4;
std::atomic<unsigned> current{kAutotune};

}  // namespace

CudaOptions cuda_options() {
  const unsigned bits = current.load(std::memory_order_relaxed);
  return {(bits & kTf32) != 0, (bits & kDeterministic) != 0, (bits & kAutotune) != 0};
}
void set_cuda_options(const CudaOptions& options) {
  current.store((options.tf32 ? kTf32 : 0) | (options.deterministic ? kDeterministic : 0) |
                    (options.autotune ? kAutotune : 0),
                std::memory_order_relaxed);
}

}  // namespace tern
