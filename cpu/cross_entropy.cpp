#include "tern/ops/cross_entropy.h"

#include <cmath>

#include "tern/cpu/reference/softmax.h"
#include "tern/cpu/softmax_rows.h"

namespace tern::cpu {
namespace {

void check_labels(const CrossEntropyGeometry& g, const int64_t* labels) {
  for (int64_t n = 0; n < g.N; ++n)
    check(labels[n] >= 0 && labels[n] < g.C, "cross_entropy: label ", labels[n], " of sample ", n,
          " is outside of 0 .. ", g.C - 1);
}

float fast_cross_entropy_row(const SoftmaxKernels& k, const float* x, const CrossEntropyGeometry& g,
                             int64_t label, float* stats) {
  float full[3];
  k.row_stats(x, g.C, full);
  stats[0] = full[0];
  stats[1] = full[1];
  const double e = g.label_smoothing, of_label = static_cast<double>(x[label] - full[0]);
  const double smoothed = e != 0 ? e / static_cast<double>(g.C) * static_cast<double>(full[2]) : 0;
  return static_cast<float>(std::log(static_cast<double>(full[1])) - (1 - e) * of_label - smoothed);
}

}  // namespace

void cross_entropy(const CrossEntropyGeometry& g, const Tensor& logits, const Tensor& labels,
                   const Tensor& loss, const Tensor& stats) {
  const int64_t* label = labels.data<int64_t>();
  check_labels(g, label);
  const auto run = [&]<class T>(T, const auto& row) {
    const T* x = logits.data<T>();
    T *out = loss.mutable_data<T>(), *s = stats.mutable_data<T>();
    for_each_row(g.N, g.C, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) out[n] = row(x + n * g.C, label[n], s + 2 * n);
    });
  };
  dispatch(
      "cross_entropy", logits.dtype(),
      [&] {
        const SoftmaxKernels& k = softmax_kernels();
        run(float{},
            [&](const float* x, int64_t c, float* s) { return fast_cross_entropy_row(k, x, g, c, s); });
      },
      [&]<class T>(T) {
        run(T{}, [&](const T* x, int64_t c, T* s) {
          return reference::cross_entropy_row(x, g.C, c, g.label_smoothing, s);
        });
      });
}

void cross_entropy_backward(const CrossEntropyGeometry& g, const Tensor& logits, const Tensor& labels,
                            const Tensor& stats, const Tensor& dloss, const Tensor& dx) {
  const int64_t* label = labels.data<int64_t>();
  const auto run = [&]<class T>(T, const auto& row) {
    const T *x = logits.data<T>(), *s = stats.data<T>(), *dl = dloss.data<T>();
    T* out = dx.mutable_data<T>();
    for_each_row(g.N, g.C, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) row(x + n * g.C, label[n], s + 2 * n, dl[n], out + n * g.C);
    });
  };
  dispatch(
      "cross_entropy_backward", logits.dtype(),
      [&] {
        const SoftmaxKernels& k = softmax_kernels();
        const auto base = static_cast<float>(g.label_smoothing / static_cast<double>(g.C));
        const auto rest = static_cast<float>(1 - g.label_smoothing);
        run(float{}, [&](const float* x, int64_t c, const float* s, float dl, float* out) {
          k.cross_entropy_backward(x, g.C, s[0], s[1], base, dl, out);
          out[c] -= dl * rest;
        });
      },
      [&]<class T>(T) {
        run(T{}, [&](const T* x, int64_t c, const T* s, T dl, T* out) {
          reference::cross_entropy_backward_row(x, g.C, c, g.label_smoothing, s, dl, out);
        });
      });
}

}  // namespace tern::cpu
