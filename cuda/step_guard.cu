// A step judges itself (ops/step_guard.h): one thread, and a copy that looks at a flag first.

#include "tern/ops/step_guard.h"

#include "tern/cuda/bytes.cuh"

namespace tern::cu {
namespace {

__global__ void judge_step_kernel(const float* loss, double* norm, double* halted) {
  if (threadIdx.x != 0) return;
  if (*loss - *loss != 0 || norm[0] - norm[0] != 0) *halted = 1;  // x - x is NaN where x is not finite
  if (*halted != 0) norm[0] = __builtin_nan("");
}

template <class T>
__global__ void keep_bytes_kernel(const T* state, const double* halted, T* kept, int64_t n) {
  if (*halted != 0) return;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = first; i < n; i += step) kept[i] = state[i];
}

}  // namespace

void judge_step(const Tensor& loss, const Tensor& norm, const Tensor& halted) {
  launch("judge_step", judge_step_kernel, dim3(1), dim3(kWarp), 0, stream_of(halted), input<float>(loss),
         output<double>(norm), output<double>(halted));
}

void keep_bytes(const Tensor& state, const Tensor& halted, const Tensor& kept) {
  const int64_t bytes = state.bytes();
  const int64_t word = common_word({address_of(state.raw_data()), address_of(kept.raw_data()), bytes});
  with_word(word, [&]<class T>(T) {
    launch("keep_bytes", keep_bytes_kernel<T>, blocks_for(bytes / word), dim3(kBlock), 0, stream_of(halted),
           input<T>(state), input<double>(halted), output<T>(kept), bytes / word);
  });
}

}  // namespace tern::cu
