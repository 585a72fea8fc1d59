#include "tern/ops/distance.h"

#include "tern/core/autograd.h"
#include "tern/ops/l2_normalize.h"

namespace tern {
namespace {

void check_pair(const char* op, const Tensor& a, const Tensor& b) {
  check<ShapeError>(a.rank() == 2 && b.rank() == 2 && a.size(1) == b.size(1), op,
                    ": inputs must be [N,D] and [M,D], got ", describe(a), " and ", describe(b));
  check<DTypeError>(a.dtype() == b.dtype() && (a.dtype() == DType::F32 || a.dtype() == DType::F64), op,
                    ": inputs must be both f32 or both f64, got ", a.dtype(), " and ", b.dtype(),
                    "; hint: x.to(DType::F32)");
  check<DeviceError>(a.device() == b.device(), op, ": inputs are on ", a.device(), " and ", b.device());
}

Tensor like(const Tensor& x, const Shape& shape) { return Tensor::empty(shape, {x.dtype(), x.device()}); }

// ---- pairwise_distance ----

struct PairwiseDistanceNode final : OpNode<PairwiseDistanceNode> {
  static constexpr std::string_view kName = "pairwise_distance";
  Gradients backward(const Gradients& dy) override {
    const Tensor &x = a.get(*this), &y = b.get(*this);
    Tensor da = like(x, x.shape()), db = like(x, x.shape());
    on_device(
        x.device(), [&] { cpu::pairwise_distance_backward(dy[0], x, y, options, da, db); },
        [&] { cu::pairwise_distance_backward(dy[0], x, y, options, da, db); });
    return {da, db};
  }
  Saved a, b;
  PairwiseDistanceOptions options;
};

// ---- cdist ----

Tensor cdist_backward(const Tensor& dy, const Tensor& x, const Tensor& others, const Tensor& d,
                      Distance distance, bool transposed) {
  Tensor dx = like(x, x.shape());
  on_device(
      x.device(), [&] { cpu::cdist_backward(dy, x, others, d, distance, transposed, dx); },
      [&] { cu::cdist_backward(dy, x, others, d, distance, transposed, dx); });
  return dx;
}

struct CdistNode final : OpNode<CdistNode> {
  static constexpr std::string_view kName = "cdist";
  Gradients backward(const Gradients& dy) override {
    const Tensor &x = a.get(*this), &y = b.get(*this), &saved = d.get(*this);
    return {needs(0) ? cdist_backward(dy[0], x, y, saved, distance, false) : Tensor(),
            needs(1) ? cdist_backward(dy[0], y, x, saved, distance, true) : Tensor()};
  }
  Saved a, b, d;
  Distance distance = Distance::Euclidean;
};

}  // namespace

Tensor pairwise_distance(const Tensor& a, const Tensor& b, PairwiseDistanceOptions options) {
  check_pair("pairwise_distance", a, b);
  check<ShapeError>(a.size(0) == b.size(0), "pairwise_distance: inputs must have the same rows, got ",
                    a.shape(), " and ", b.shape(), "; hint: cdist compares all rows with all");
  check(options.p >= 1, "pairwise_distance: p must be at least 1 (infinity is allowed), got ", options.p);
  check(options.eps >= 0, "pairwise_distance: eps must not be negative, got ", options.eps);
  const Tensor d = like(a, {a.size(0)});
  on_device(
      a.device(), [&] { cpu::pairwise_distance_forward(a, b, options, d); },
      [&] { cu::pairwise_distance_forward(a, b, options, d); });
  return record<PairwiseDistanceNode>(d, {a, b}, [&](PairwiseDistanceNode& node) {
    node.a = a;
    node.b = b;
    node.options = options;
  });
}

Tensor cdist(const Tensor& a, const Tensor& b, CdistOptions options) {
  check_pair("cdist", a, b);
  const bool cosine = options.distance == Distance::Cosine;
  const Tensor u = cosine ? l2_normalize(a) : a, v = cosine ? l2_normalize(b) : b;
  const Tensor d = like(a, {a.size(0), b.size(0)});
  on_device(
      a.device(), [&] { cpu::cdist_forward(u, v, options.distance, d); },
      [&] { cu::cdist_forward(u, v, options.distance, d); });
  return record<CdistNode>(d, {u, v}, [&](CdistNode& node) {
    node.a = u;
    node.b = v;
    node.d = d;
    node.distance = options.distance;
  });
}

}  // namespace tern
