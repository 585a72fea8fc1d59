#include "tern/cpu/cast_kernels.h"

#include "tern/cpu/vec.h"

namespace tern::cpu::TERN_ISA {
namespace {

using V = Vec<float>;

template <class From, class To>
void convert(const From* x, To* y, int64_t n) {
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) V::load(x + i).store(y + i);
  if (i < n) V::load_partial(x + i, n - i).store_partial(y + i, n - i);
}

}  // namespace

constinit const CastKernels cast_table = {&convert<bfloat16, float>, &convert<float, bfloat16>};

}  // namespace tern::cpu::TERN_ISA
