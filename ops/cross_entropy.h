#pragma once
// Cross-entropy between the softmax of logits and labels, with label smoothing.
//
//   t_c = (1 - e) [c = label] + e / C                          the smoothed target, e = label_smoothing
//   loss_n = -sum_c t_c log p_c = log s - sum_c t_c (x_c - m)  p = softmax(x), m = max x
//                                                              s = sum_c e^(x_c - m)
//   dx_c = dloss_n (p_c - t_c)
//   Mean: sum_n loss_n / N (0 if N = 0). Sum: the sum. None: [N].
//
// logits[N,C] labels i64 [N] -> loss [] or [N]. f32, f64; the reduction adds in f64, in order. Softmax is
// formed again on the way back: two numbers per row are kept beside the logits. Throws ShapeError for other
// shapes, DTypeError unless labels are i64, UsageError for a label outside of 0 .. C-1 (naming it), for
// label_smoothing outside of [0, 1], and for Reduction::MeanNonZero. Labels on a device are not read back:
// one out of range makes the loss and its row of the gradient NaN. Source: Szegedy et al., "Rethinking the
// Inception architecture", CVPR 2016 (smoothing); PyTorch's definitions.

#include "tern/core/tensor.h"
#include "tern/ops/reduction.h"

namespace tern {

struct CrossEntropyOptions {
  double label_smoothing = 0;
  Reduction reduction = Reduction::Mean;
};

Tensor cross_entropy(const Tensor& logits, const Tensor& labels, CrossEntropyOptions options = {});

struct CrossEntropyGeometry {
  int64_t N, C;
  double label_smoothing;
};

namespace cpu {
// loss[N] and stats[N,2] = (m, s) per row. Throws UsageError for a label out of range.
void cross_entropy(const CrossEntropyGeometry& geometry, const Tensor& logits, const Tensor& labels,
                   const Tensor& loss, const Tensor& stats);
// dloss[N] -> dx[N,C]
void cross_entropy_backward(const CrossEntropyGeometry& geometry, const Tensor& logits, const Tensor& labels,
                            const Tensor& stats, const Tensor& dloss, const Tensor& dx);
}  // namespace cpu
namespace cu {
void cross_entropy(const CrossEntropyGeometry& geometry, const Tensor& logits, const Tensor& labels,
                   const Tensor& loss, const Tensor& stats);
void cross_entropy_backward(const CrossEntropyGeometry& geometry, const Tensor& logits, const Tensor& labels,
                            const Tensor& stats, const Tensor& dloss, const Tensor& dx);
}  // namespace cu

}  // namespace tern
