// Cross-entropy (ops/cross_entropy.h). Labels are not read back to be checked: a label out of range gives a
// loss and a gradient of NaN, which the finite check of the step finds.

#include "tern/ops/cross_entropy.h"

#include "tern/cuda/row_softmax.cuh"

namespace tern::cu {
namespace {

template <int kThreads>
__global__ void __launch_bounds__(kBlock)
    cross_entropy_kernel(CrossEntropyGeometry g, const float* x, const int64_t* labels, float* loss,
                         float* stats) {
  const RowThread<kThreads> t;
  if (t.row >= g.N) return;  // a whole group
  x += t.row * g.C;
  const float m = row_maximum<kThreads>(x, g.C, t.lane), s = row_exp_sum<kThreads>(x, m, g.C, t.lane);
  double sum = 0;
  if (g.label_smoothing != 0)
    for (int64_t c = t.lane; c < g.C; c += kThreads) sum += static_cast<double>(x[c] - m);
  sum = row_sum<kThreads>(sum);
  if (t.lane != 0) return;
  const int64_t label = labels[t.row];
  const bool known = label >= 0 && label < g.C;
  const double e = g.label_smoothing,
               of_label = known ? static_cast<double>(x[label] - m) : __builtin_nan("");
  const double smoothed = e != 0 ? e / static_cast<double>(g.C) * sum : 0;
  loss[t.row] = static_cast<float>(math::log(static_cast<double>(s)) - (1 - e) * of_label - smoothed);
  stats[2 * t.row] = m;
  stats[2 * t.row + 1] = s;
}

// One thread an element.
__global__ void __launch_bounds__(kBlock)
    cross_entropy_backward_kernel(CrossEntropyGeometry g, const float* x, const int64_t* labels,
                                  const float* stats, const float* dloss, float* dx) {
  const auto base = static_cast<float>(g.label_smoothing / static_cast<double>(g.C));
  const auto rest = static_cast<float>(1 - g.label_smoothing);
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < g.N * g.C; i += step) {
    const int64_t n = i / g.C, label = labels[n];
    const float p = math::exp(x[i] - stats[2 * n]) / stats[2 * n + 1];
    const float d = dloss[n] * (p - base);
    const float at_label = i - n * g.C == label ? d - dloss[n] * rest : d;
    dx[i] = label >= 0 && label < g.C ? at_label : __builtin_nanf("");
  }
}

}  // namespace

void cross_entropy(const CrossEntropyGeometry& g, const Tensor& logits, const Tensor& labels,
                   const Tensor& loss, const Tensor& stats) {
  check_row_type("cross_entropy", logits);
  for_row_group(g.N, g.C, [&](auto threads, dim3 grid) {
    launch("cross_entropy", cross_entropy_kernel<threads()>, grid, dim3(kBlock), 0, stream_of(logits), g,
           input<float>(logits), input<int64_t>(labels), output<float>(loss), output<float>(stats));
  });
}

void cross_entropy_backward(const CrossEntropyGeometry& g, const Tensor& logits, const Tensor& labels,
                            const Tensor& stats, const Tensor& dloss, const Tensor& dx) {
  launch("cross_entropy_backward", cross_entropy_backward_kernel, blocks_for(g.N * g.C), dim3(kBlock), 0,
         stream_of(logits), g, input<float>(logits), input<int64_t>(labels), input<float>(stats),
         input<float>(dloss), output<float>(dx));
}

}  // namespace tern::cu
