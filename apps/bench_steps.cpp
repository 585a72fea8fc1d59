// The suite steps of tern bench: one matrix product from the naive loop to the packed kernel on all threads,
// the numbers of docs/kernels.md.

#include <fmt/format.h>

#include "tern/apps/bench.h"
#include "tern/core/autograd.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/steps_kernels.h"
#include "tern/ops/creation.h"
#include "tern/ops/matmul.h"

namespace tern::app {
namespace {

constexpr int64_t kSize = 512;

const cpu::StepsKernels& steps_kernels() {
  return cpu::isa_pick(
      []() -> auto& { return cpu::baseline::steps_table; }, []() -> auto& { return cpu::avx2::steps_table; },
      []() -> auto& { return cpu::avx512::steps_table; });
}

}  // namespace

void bench_steps(Bench& bench) {
  const Tensor a = randn({kSize, kSize}), b = randn({kSize, kSize}, {.step = 1});
  const Tensor c = Tensor::empty({kSize, kSize});
  const Work work{.flops = 2.0 * static_cast<double>(kSize * kSize * kSize)};
  using Step = void (*)(const float*, const float*, int64_t, float*);
  const auto step = [&](const std::string& name, Step run) {
    bench.row(name, work, [&, run]() -> Bench::Call {
      return [&, run] { run(a.data<float>(), b.data<float>(), kSize, c.mutable_data<float>()); };
    });
  };
  const auto packed = [&](const std::string& name) {
    bench.row(name, work, [&]() -> Bench::Call {
      return [&] {
        const NoGradGuard no_grad;
        matmul(a, b);
      };
    });
  };
  const auto& kernels = steps_kernels();
  step("1 dot products", kernels.dot_products);
  step("2 sums of rows, in vectors", kernels.row_sums);
  step("3 tiles in registers", kernels.register_tiles);
  {
    const OneThread one_thread;
    packed("4 packed panels, one thread");
  }
  packed("5 packed panels, all threads");
}

}  // namespace tern::app
