#include "tern/ops/cross_entropy.h"

#include "tern/core/autograd.h"
#include "tern/ops/reduce.h"

namespace tern {
namespace {

void check_arguments(const Tensor& logits, const Tensor& labels, const CrossEntropyOptions& options) {
  check(logits.defined() && labels.defined(), "cross_entropy: ", logits.defined() ? "labels" : "logits",
        " are undefined");
  check<ShapeError>(logits.rank() == 2 && logits.size(1) >= 1,
                    "cross_entropy: logits must be [N,C] with C >= 1, got ", logits.shape());
  check<ShapeError>(labels.rank() == 1 && labels.size(0) == logits.size(0), "cross_entropy: labels must be [",
                    logits.size(0), "] for logits ", logits.shape(), ", got ", labels.shape());
  check<DTypeError>(labels.dtype() == DType::I64, "cross_entropy: labels must be i64, got ", labels.dtype(),
                    "; hint: labels.to(DType::I64)");
  check<DeviceError>(labels.device() == logits.device(), "cross_entropy: logits on ", logits.device(),
                     ", labels on ", labels.device());
  check(options.label_smoothing >= 0 && options.label_smoothing <= 1, "cross_entropy: label_smoothing ",
        options.label_smoothing, " is outside of [0, 1]");
  check(options.reduction != Reduction::MeanNonZero,
        "cross_entropy: reduction mean_nonzero is not defined here", "; hint: mean, sum or none");
}

}  // namespace

// The losses of the rows; the reductions are operations of their own.
struct CrossEntropyNode final : OpNode<CrossEntropyNode> {
  static constexpr std::string_view kName = "cross_entropy";
  Gradients backward(const Gradients& dy) override {
    const Tensor& x = logits.get(*this);
    const Tensor dx = Tensor::empty(x.shape(), {x.dtype(), x.device()});
    on_device(
        x.device(),
        [&] { cpu::cross_entropy_backward(geometry, x, labels.get(*this), stats.get(*this), dy[0], dx); },
        [&] { cu::cross_entropy_backward(geometry, x, labels.get(*this), stats.get(*this), dy[0], dx); });
    return {dx};
  }
  CrossEntropyGeometry geometry;
  Saved logits, labels, stats;
};

Tensor cross_entropy(const Tensor& logits, const Tensor& labels, CrossEntropyOptions options) {
  check_arguments(logits, labels, options);
  const CrossEntropyGeometry g{logits.size(0), logits.size(1), options.label_smoothing};
  const TensorOptions like{logits.dtype(), logits.device()};
  const Tensor loss = Tensor::empty({g.N}, like), stats = Tensor::empty({g.N, 2}, like);
  on_device(
      logits.device(), [&] { cpu::cross_entropy(g, logits, labels, loss, stats); },
      [&] { cu::cross_entropy(g, logits, labels, loss, stats); });
  const Tensor y = record<CrossEntropyNode>(loss, {logits}, [&](CrossEntropyNode& node) {
    node.geometry = g;
    node.logits = logits;
    node.labels = labels;
    node.stats = stats;
  });
  if (options.reduction == Reduction::None) return y;
  return options.reduction == Reduction::Sum || g.N == 0 ? sum(y) : mean(y);
}

}  // namespace tern
