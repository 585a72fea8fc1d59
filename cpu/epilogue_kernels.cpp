// One pass over pixels that a convolution has just written: a vector of channels at a time.

#include "tern/cpu/epilogue_kernels.h"

#include "tern/cpu/vec.h"

namespace tern::cpu::TERN_ISA {
namespace {

using V = Vec<float>;

template <class T>
struct Whole {
  TERN_INLINE static V load(const T* p) { return V::load(p); }
  TERN_INLINE static V load_slope(const float* p) { return V::load(p); }
  TERN_INLINE static void store(V v, T* p) { v.store(p); }
};
template <class T>
struct Partial {
  int64_t n;
  TERN_INLINE V load(const T* p) const { return V::load_partial(p, n); }
  TERN_INLINE V load_slope(const float* p) const { return V::load_partial(p, n); }
  TERN_INLINE void store(V v, T* p) const { v.store_partial(p, n); }
};

template <Activation kAct, bool kResidual, class T>
void pixels(const EpilogueJob<T>& job) {
  const auto at = [&](int64_t c, int64_t i, auto lanes) __attribute__((always_inline)) {
    V z = lanes.load(job.y + i);
    if (kResidual) z += lanes.load(job.residual + i);
    if (kAct == Activation::Relu) z = select(z <= V(0.0f), V(0.0f), z);
    if (kAct == Activation::Prelu) z = select(z <= V(0.0f), z * lanes.load_slope(job.slope + c), z);
    lanes.store(z, job.y + i);
  };
  for (int64_t p = 0; p < job.pixels; ++p) {
    int64_t c = 0;
    for (; c + V::kLanes <= job.n; c += V::kLanes) at(c, p * job.stride + c, Whole<T>{});
    if (c < job.n) at(c, p * job.stride + c, Partial<T>{job.n - c});
  }
}

template <bool kResidual, class T>
void with_activation(const EpilogueJob<T>& job) {
  switch (job.activation) {
    case Activation::None: return pixels<Activation::None, kResidual>(job);
    case Activation::Relu: return pixels<Activation::Relu, kResidual>(job);
    case Activation::Prelu: return pixels<Activation::Prelu, kResidual>(job);
  }
}

template <class T>
void run(const EpilogueJob<T>& job) {
  return job.residual ? with_activation<true>(job) : with_activation<false>(job);
}

}  // namespace

const EpilogueKernels<float> epilogue_table = {run};
const EpilogueKernels<bfloat16> epilogue_bf16_table = {run};

}  // namespace tern::cpu::TERN_ISA
