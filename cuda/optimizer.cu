// The optimizer's passes (ops/optimizer.h): a block of threads a tile of the table, four elements a thread at
// a time. An element is updated by itself in f32, each operation rounded as written (cuda/kernel.h), so
// parameters and states have the bits of the CPU's kernels without fused multiply-add. Squares are exact in
// f64; the norm depends on the order of its sum, which the table fixes.

#include "tern/ops/optimizer.h"

#include "tern/cuda/block.cuh"
#include "tern/cuda/vector_access.cuh"

namespace tern::cu {
namespace {

constexpr int kEach = kPerVector<float>;

// body(first element, elements) over a tile: kEach at a time where the tile allows it.
template <class Vector, class One>
__device__ __forceinline__ void for_tile(const GradientTile& t, const Vector& vector, const One& one) {
  const int thread = static_cast<int>(threadIdx.x), count = static_cast<int>(t.count);
  const bool aligned = ((reinterpret_cast<uintptr_t>(t.gradient) | t.offset * sizeof(float)) & 15) == 0;
  const int whole = aligned ? count / kEach : 0;
  for (int v = thread; v < whole; v += kBlock) vector(v * kEach);
  for (int i = whole * kEach + thread; i < count; i += kBlock) one(i);
}

__device__ __forceinline__ bool is_finite(double x) { return x - x == 0; }

__global__ void __launch_bounds__(kBlock) squared_norm_kernel(const GradientTile* tiles, double* sums) {
  const GradientTile t = tiles[blockIdx.x];
  double sum = 0;
  const auto add = [&](float g) { sum += static_cast<double>(g) * static_cast<double>(g); };
  for_tile(
      t,
      [&](int i) {
        float g[kEach];
        load_vector(t.gradient + i, g);
#pragma unroll
        for (int e = 0; e < kEach; ++e) add(g[e]);
      },
      [&](int i) { add(t.gradient[i]); });
  sum = block_sum<kBlock>(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kBlock)
    gradient_norm_kernel(const double* sums, int64_t n, double clip, double* total) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += kBlock) sum += sums[i];
  sum = block_sum<kBlock>(sum);
  if (threadIdx.x != 0) return;
  total[0] = math::sqrt(sum);
  total[1] = clip_scale(total[0], clip);
}

__global__ void __launch_bounds__(kBlock) write_rules_kernel(RuleRun run, double* rules) {
  const int64_t row = run.first + static_cast<int64_t>(blockIdx.x) * kBlock + threadIdx.x;
  if (row >= run.last) return;
#pragma unroll
  for (int k = 0; k < kRuleNumbers; ++k) rules[row * kRuleNumbers + k] = run.numbers[k];
}

// The formula of a tile's parameter, in the units of this step.
template <class Rule>
__device__ __forceinline__ auto formula_of(const double* rules, int64_t parameter, const double* norm) {
  return reinterpret_cast<const Rule*>(rules + parameter * kRuleNumbers)->template formula<float>(norm[1]);
}

template <bool kMomentum>
__global__ void __launch_bounds__(kBlock) sgd_kernel(const GradientTile* tiles, const double* rules,
                                                     const double* norm, float* parameters, float* momentum) {
  if (!is_finite(norm[0])) return;
  const GradientTile t = tiles[blockIdx.x];
  const auto formula = formula_of<SgdRule>(rules, t.parameter, norm);
  float* p = parameters + t.offset;
  float* m = kMomentum ? momentum + t.offset : nullptr;
  const auto update = [&](float& parameter, float gradient, float& state) {
    if constexpr (kMomentum) formula.with_momentum(parameter, gradient, state);
    else formula.plain(parameter, gradient);
  };
  for_tile(
      t,
      [&](int i) {
        float parameter[kEach], gradient[kEach], state[kEach] = {};
        load_vector(p + i, parameter);
        load_vector(t.gradient + i, gradient);
        if constexpr (kMomentum) load_vector(m + i, state);
#pragma unroll
        for (int e = 0; e < kEach; ++e) update(parameter[e], gradient[e], state[e]);
        store_vector(p + i, parameter);
        if constexpr (kMomentum) store_vector(m + i, state);
      },
      [&](int i) {
        float state = kMomentum ? m[i] : 0;
        update(p[i], t.gradient[i], state);
        if constexpr (kMomentum) m[i] = state;
      });
}

__global__ void __launch_bounds__(kBlock)
    adam_kernel(const GradientTile* tiles, const double* rules, const double* norm, float* parameters,
                float* exp_avg, float* exp_avg_sq) {
  if (!is_finite(norm[0])) return;
  const GradientTile t = tiles[blockIdx.x];
  const auto formula = formula_of<AdamRule>(rules, t.parameter, norm);
  float *p = parameters + t.offset, *m = exp_avg + t.offset, *v = exp_avg_sq + t.offset;
  for_tile(
      t,
      [&](int i) {
        float parameter[kEach], gradient[kEach], first[kEach], second[kEach];
        load_vector(p + i, parameter);
        load_vector(t.gradient + i, gradient);
        load_vector(m + i, first);
        load_vector(v + i, second);
#pragma unroll
        for (int e = 0; e < kEach; ++e) formula(parameter[e], gradient[e], first[e], second[e]);
        store_vector(p + i, parameter);
        store_vector(m + i, first);
        store_vector(v + i, second);
      },
      [&](int i) { formula(p[i], t.gradient[i], m[i], v[i]); });
}

dim3 grid_of(const OptimizerPass& pass) { return dim3(static_cast<unsigned>(pass.end - pass.begin)); }
const GradientTile* tiles_of(const OptimizerPass& pass) { return pass.tiles.on_device() + pass.begin; }

}  // namespace

void gradient_norm(const GradientTiles& tiles, double clip_norm, const GradientNorm& norm) {
  const int64_t n = norm.sums.numel();
  const cudaStream_t stream = stream_of(norm.total);
  launch("squared_norm", squared_norm_kernel, dim3(static_cast<unsigned>(n)), dim3(kBlock), 0, stream,
         tiles.on_device(), output<double>(norm.sums));
  launch("gradient_norm", gradient_norm_kernel, dim3(1), dim3(kBlock), 0, stream, input<double>(norm.sums), n,
         clip_norm, output<double>(norm.total));
}

void write_rules(const RuleRun& run, const Tensor& rules) {
  launch("write_rules", write_rules_kernel,
         dim3(static_cast<unsigned>((run.last - run.first + kBlock - 1) / kBlock)), dim3(kBlock), 0,
         stream_of(rules), run, output<double>(rules));
}

void sgd_step(const OptimizerPass& pass, const Tensor& parameters, const Tensor& momentum) {
  const bool kept = momentum.defined();
  launch("sgd", kept ? sgd_kernel<true> : sgd_kernel<false>, grid_of(pass), dim3(kBlock), 0,
         stream_of(parameters), tiles_of(pass), input<double>(pass.rules), input<double>(pass.norm),
         output<float>(parameters), kept ? output<float>(momentum) : nullptr);
}

void adam_step(const OptimizerPass& pass, const Tensor& parameters, const Tensor& exp_avg,
               const Tensor& exp_avg_sq) {
  launch("adam", adam_kernel, grid_of(pass), dim3(kBlock), 0, stream_of(parameters), tiles_of(pass),
         input<double>(pass.rules), input<double>(pass.norm), output<float>(parameters),
         output<float>(exp_avg), output<float>(exp_avg_sq));
}

}  // namespace tern::cu
