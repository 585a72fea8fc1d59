#include "tern/ops/batch_triplet_loss.h"

#include <cmath>

#include "tern/core/autograd.h"
#include "tern/ops/l2_normalize.h"
#include "tern/ops/loss_terms.h"

namespace tern {

std::string_view to_string(Mining mining) {
  switch (mining) {
    case Mining::BatchAll: return "batch_all";
    case Mining::BatchHard: return "batch_hard";
    case Mining::SemiHard: return "semi_hard";
    case Mining::SemiHardOrHardest: return "semi_hard_or_hardest";
    case Mining::RandomViolator: return "random_violator";
    case Mining::EasyPositive: return "easy_positive";
    case Mining::DistanceWeighted: return "distance_weighted";
  }
  return "?";
}

namespace {

void check_arguments(const Tensor& e, const Tensor& labels, const BatchTripletOptions& options) {
  check<ShapeError>(e.rank() == 2, "batch_triplet_loss: embeddings must be [N,D], got ", describe(e));
  check<DTypeError>(e.dtype() == DType::F32 || e.dtype() == DType::F64,
                    "batch_triplet_loss: embeddings must be f32 or f64, got ", e.dtype(),
                    "; hint: distances are always f32, e.to(DType::F32)");
  check<ShapeError>(labels.rank() == 1 && labels.size(0) == e.size(0), "batch_triplet_loss: labels must be [",
                    e.size(0), "], one per row of the embeddings ", e.shape(), ", got ", labels.shape());
  check<DTypeError>(labels.dtype() == DType::I64, "batch_triplet_loss: labels must be i64, got ",
                    labels.dtype());
  check<DeviceError>(labels.device() == e.device(), "batch_triplet_loss: embeddings are on ", e.device(),
                     ", labels on ", labels.device(), "; hint: labels.to(embeddings.device())");
  check(options.margin >= 0 && std::isfinite(options.margin),
        "batch_triplet_loss: margin must be a finite number >= 0, got ", options.margin);
  check(
      options.mining != Mining::DistanceWeighted || options.normalize,
      "batch_triplet_loss: distance-weighted mining assumes embeddings of length 1; hint: .normalize = true");
}

bool normalizes(const BatchTripletOptions& options) {
  return options.normalize || options.distance == Distance::Cosine;
}

BatchTripletTerms find_terms(const BatchTripletGeometry& geometry, const Tensor& u, const Tensor& labels) {
  return on_device(
      u.device(), [&] { return cpu::batch_triplet_forward(geometry, u, labels); },
      [&] { return cu::batch_triplet_forward(geometry, u, labels); });
}

struct BatchTripletNode final : OpNode<BatchTripletNode> {
  static constexpr std::string_view kName = "batch_triplet_loss";
  Gradients backward(const Gradients& dy) override;

  BatchTripletGeometry geometry;
  Saved u;
  BatchTripletTerms terms;
  TermReduction reduction;
};

Gradients BatchTripletNode::backward(const Gradients& dy) {
  const Tensor& unit = u.get(*this);
  const Tensor scale = spread_gradient(dy[0], geometry.n, reduction);
  Tensor du = Tensor::empty(unit.shape(), {unit.dtype(), unit.device()});
  on_device(
      unit.device(), [&] { cpu::batch_triplet_backward(geometry, unit, terms, scale, du); },
      [&] { cu::batch_triplet_backward(geometry, unit, terms, scale, du); });
  return {du};
}

}  // namespace

BatchTripletResult batch_triplet_loss(const Tensor& e, const Tensor& labels, BatchTripletOptions options) {
  check_arguments(e, labels, options);
  const Tensor u = normalizes(options) ? l2_normalize(e) : e;
  const BatchTripletGeometry geometry{e.size(0), e.size(1), options, grad_enabled() && u.requires_grad()};
  const BatchTripletTerms terms = find_terms(geometry, u, labels);
  const Reduction reduction = options.reduction.value_or(
      options.mining == Mining::BatchAll ? Reduction::MeanNonZero : Reduction::Mean);
  TermReduction factor{reduction};
  Tensor loss = reduce_losses(terms.anchor_sums, e.dtype(), factor,
                              terms.measures.value(reduction == Reduction::Mean ? kTerms : kActive));
  loss = record<BatchTripletNode>(loss, {u}, [&](BatchTripletNode& node) {
    node.geometry = geometry;
    node.u = u;
    node.terms = terms;
    // With Reduction::None in f64 the sums are the output itself: keep them without its history, or the node
    // would own itself.
    node.terms.anchor_sums = terms.anchor_sums.detach();
    node.reduction = factor;
  });
  return {loss, terms.measures};
}

MinedTriplets mine_triplets(const Tensor& e, const Tensor& labels, BatchTripletOptions options) {
  check_arguments(e, labels, options);
  NoGradGuard no_grad;
  MinedTriplets mined;
  if (options.mining == Mining::BatchAll) {
    const Tensor on_host = labels.to(kCpu);
    const int64_t* y = on_host.data<int64_t>();
    for (int64_t a = 0; a < e.size(0); ++a)
      for (int64_t p = 0; p < e.size(0); ++p)
        for (int64_t n = 0; n < e.size(0) && p != a && y[p] == y[a]; ++n) {
          if (y[n] == y[a]) continue;
          mined.anchor.push_back(a);
          mined.positive.push_back(p);
          mined.negative.push_back(n);
        }
    return mined;
  }
  const Tensor u = normalizes(options) ? l2_normalize(e) : e;
  const BatchTripletGeometry geometry{e.size(0), e.size(1), options, false};
  const Tensor terms = on_device(
      u.device(), [&] { return cpu::batch_triplet_mine(geometry, u, labels); },
      [&] { return cu::batch_triplet_mine(geometry, u, labels); });
  const int64_t* triplets = terms.data<int64_t>();
  for (int64_t t = 0; t < terms.size(0); ++t) {
    mined.anchor.push_back(triplets[3 * t]);
    mined.positive.push_back(triplets[3 * t + 1]);
    mined.negative.push_back(triplets[3 * t + 2]);
  }
  return mined;
}

}  // namespace tern
