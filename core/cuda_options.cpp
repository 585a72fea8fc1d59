#include "tern/core/cuda_options.h"

#include <atomic>

namespace tern {
namespace {
std::atomic<CudaOptions> current{CudaOptions{}};
}  // namespace

CudaOptions cuda_options() { return current.load(std::memory_order_relaxed); }
void set_cuda_options(const CudaOptions& options) { current.store(options, std::memory_order_relaxed); }

}  // namespace tern
