#include "tern/ops/contrastive_loss.h"

#include <cmath>

#include "tern/core/autograd.h"
#include "tern/ops/loss_terms.h"

namespace tern {
namespace {

void check_options(std::string_view op, const ContrastiveOptions& options) {
  check(options.margin >= 0 && std::isfinite(options.margin), op,
        ": margin must be a finite number >= 0, got ", options.margin);
}

void check_arguments(const Tensor& a, const Tensor& b, const Tensor& same,
                     const ContrastiveOptions& options) {
  check<ShapeError>(a.rank() == 2 && a.shape() == b.shape(),
                    "contrastive_loss: both sides must be [N,D], got ", a.shape(), " and ", b.shape());
  check<DTypeError>(a.dtype() == b.dtype() && (a.dtype() == DType::F32 || a.dtype() == DType::F64),
                    "contrastive_loss: both sides must be f32 or both f64, got ", a.dtype(), " and ",
                    b.dtype(), "; hint: x.to(DType::F32)");
  check<ShapeError>(same.rank() == 1 && same.size(0) == a.size(0), "contrastive_loss: same must be [",
                    a.size(0), "], one per pair, got ", same.shape());
  check<DTypeError>(same.dtype() == DType::I64 || same.dtype() == DType::Bool,
                    "contrastive_loss: same must be i64 or bool, got ", same.dtype());
  check<DeviceError>(a.device() == b.device() && a.device() == same.device(),
                     "contrastive_loss: inputs are on ", a.device(), ", ", b.device(), " and ",
                     same.device());
  check_options("contrastive_loss", options);
}

void check_arguments(const Tensor& e, const Tensor& labels, const ContrastiveOptions& options) {
  check<ShapeError>(e.rank() == 2, "batch_contrastive_loss: embeddings must be [N,D], got ", describe(e));
  check<DTypeError>(e.dtype() == DType::F32 || e.dtype() == DType::F64,
                    "batch_contrastive_loss: embeddings must be f32 or f64, got ", e.dtype(),
                    "; hint: distances are always f32, e.to(DType::F32)");
  check<ShapeError>(labels.rank() == 1 && labels.size(0) == e.size(0),
                    "batch_contrastive_loss: labels must be [", e.size(0),
                    "], one per row of the embeddings ", e.shape(), ", got ", labels.shape());
  check<DTypeError>(labels.dtype() == DType::I64, "batch_contrastive_loss: labels must be i64, got ",
                    labels.dtype());
  check<DeviceError>(labels.device() == e.device(), "batch_contrastive_loss: embeddings are on ", e.device(),
                     ", labels on ", labels.device(), "; hint: labels.to(embeddings.device())");
  check_options("batch_contrastive_loss", options);
}

// On a GPU the kernel reads either type.
Tensor as_flags(const Tensor& same) {
  if (same.dtype() == DType::Bool || same.device().is_cuda()) return same;
  Tensor flags = Tensor::empty(same.shape(), {DType::Bool, kCpu});
  const int64_t* from = same.data<int64_t>();
  for (int64_t i = 0; i < same.numel(); ++i) {
    check(from[i] == 0 || from[i] == 1, "contrastive_loss: same must be 0 or 1, got ", from[i], " for pair ",
          i, "; hint: 1 for a pair of the same class");
    flags.mutable_data<bool>()[i] = from[i] == 1;
  }
  return flags;
}

struct ContrastiveNode final : OpNode<ContrastiveNode> {
  static constexpr std::string_view kName = "contrastive_loss";
  Gradients backward(const Gradients& dy) override {
    const Tensor &x = a.get(*this), &y = b.get(*this);
    Tensor da = Tensor::empty(x.shape(), {x.dtype(), x.device()}),
           db = Tensor::empty(x.shape(), {x.dtype(), x.device()});
    const Tensor scale = spread_gradient(dy[0], x.size(0), reduction);
    on_device(
        x.device(), [&] { cpu::contrastive_backward(scale, slopes, x, y, da, db); },
        [&] { cu::contrastive_backward(scale, slopes, x, y, da, db); });
    return {da, db};
  }
  Saved a, b;
  Tensor slopes;
  TermReduction reduction;
};

struct BatchContrastiveNode final : OpNode<BatchContrastiveNode> {
  static constexpr std::string_view kName = "batch_contrastive_loss";
  Gradients backward(const Gradients& dy) override {
    const Tensor& x = e.get(*this);
    Tensor de = Tensor::empty(x.shape(), {x.dtype(), x.device()});
    const Tensor scale = spread_gradient(dy[0], slopes.size(0), reduction);
    on_device(
        x.device(), [&] { cpu::batch_contrastive_backward(scale, slopes, x, de); },
        [&] { cu::batch_contrastive_backward(scale, slopes, x, de); });
    return {de};
  }
  Saved e;
  Tensor slopes;
  TermReduction reduction;
};

}  // namespace

ContrastiveStats BatchContrastiveResult::stats() const {
  const TripletStats all = measures.stats();
  const int64_t pairs = measures.n * (measures.n - 1) / 2;
  const auto same = static_cast<int64_t>(measures.value(kPositivePairs).item());
  return {.same = same,
          .different = pairs - same,
          .active = all.active,
          .near = all.semi_hard,
          .d_same = all.d_ap,
          .d_different = all.d_an,
          .pairwise_rms = all.pairwise_rms,
          .spread = all.spread};
}

Tensor contrastive_loss(const Tensor& a, const Tensor& b, const Tensor& same, ContrastiveOptions options) {
  check_arguments(a, b, same, options);
  const Tensor flags = as_flags(same);
  const TensorOptions wide{DType::F64, a.device()};
  const Tensor losses = Tensor::empty({a.size(0)}, wide), slopes = Tensor::empty({a.size(0)}, wide);
  on_device(
      a.device(), [&] { cpu::contrastive_forward(a, b, flags, options, losses, slopes); },
      [&] { cu::contrastive_forward(a, b, flags, options, losses, slopes); });
  TermReduction reduction{options.reduction};
  const Tensor loss = reduce_losses(losses, a.dtype(), reduction);
  return record<ContrastiveNode>(loss, {a, b}, [&](ContrastiveNode& node) {
    node.a = a;
    node.b = b;
    node.slopes = slopes;
    node.reduction = reduction;
  });
}

BatchContrastiveResult batch_contrastive_loss(const Tensor& e, const Tensor& labels,
                                              ContrastiveOptions options) {
  check_arguments(e, labels, options);
  const int64_t n = e.size(0), pairs = n * (n - 1) / 2;
  const TensorOptions wide{DType::F64, e.device()};
  const Tensor losses = Tensor::empty({pairs}, wide), slopes = Tensor::empty({pairs}, wide);
  BatchContrastiveResult result;
  result.measures = on_device(
      e.device(), [&] { return cpu::batch_contrastive_forward(e, labels, options, losses, slopes); },
      [&] { return cu::batch_contrastive_forward(e, labels, options, losses, slopes); });
  TermReduction reduction{options.reduction};
  result.loss = record<BatchContrastiveNode>(reduce_losses(losses, e.dtype(), reduction), {e},
                                             [&](BatchContrastiveNode& node) {
                                               node.e = e;
                                               node.slopes = slopes;
                                               node.reduction = reduction;
                                             });
  return result;
}

}  // namespace tern
