#pragma once
// unary(formula, x) and binary(formula, a, b): forward, record, and backward of every pointwise operation.
// ops/pointwise.cpp gives them their public names.

#include "tern/core/autograd.h"
#include "tern/core/error.h"
#include "tern/ops/pointwise_backend.h"

namespace tern {

inline const PointwiseBackend& pointwise_backend(const Device& device) {
  return on_device(
      device, []() -> const PointwiseBackend& { return cpu::pointwise_backend(); },
      []() -> const PointwiseBackend& { return cu::pointwise_backend(); });
}

// Whether record() has anything to do with x: asking first spares it copies of its arguments, which cost as
// much as a small operation.
inline bool recorded(const Tensor& x) { return detail::finite_checks() || detail::wants_gradient(x); }

template <class F>
struct UnaryNode final : OpNode<UnaryNode<F>> {
  static constexpr std::string_view kName = F::kName;
  Gradients backward(const Gradients& dy) override {
    const Tensor& s = F::kSaves == Saves::Nothing ? dy[0] : saved.get(*this);
    Tensor dx = Tensor::empty(dy[0].shape(), {dy[0].dtype(), dy[0].device()});
    pointwise_backend(dy[0].device()).UnaryEntry<F>::backward(formula, s, dy[0], dx);
    return {dx};
  }
  F formula;
  Saved saved;
};

template <class F>
Tensor unary(const F& formula, const Tensor& x) {
  check(x.defined(), F::kName, ": x is undefined");
  Tensor y = Tensor::empty(x.shape(), {x.dtype(), x.device()});
  pointwise_backend(x.device()).UnaryEntry<F>::forward(formula, x, y);
  if (!recorded(x)) return y;
  return record<UnaryNode<F>>(y, {x}, [&](UnaryNode<F>& node) {
    node.formula = formula;
    if constexpr (F::kSaves == Saves::Input) node.saved = x;
    if constexpr (F::kSaves == Saves::Output) node.saved = y;
  });
}

template <class F>
struct BinaryNode final : OpNode<BinaryNode<F>> {
  static constexpr std::string_view kName = F::kName;
  // In the broadcast shape; the engine sums them down. An operand that is not read is not kept: dy stands in.
  Gradients backward(const Gradients& dy) override {
    const BinaryEntry<F>& kernels = pointwise_backend(dy[0].device());
    const Tensor& at = a.defined() ? a.get(*this) : dy[0];
    const Tensor& bt = b.defined() ? b.get(*this) : dy[0];
    const BroadcastGeometry geometry = broadcast_geometry(F::kName, at.shape(), bt.shape());
    Gradients dx(2);
    for (int i = 0; i < 2; ++i) {
      if (!this->needs(i)) continue;
      Tensor& d = dx[static_cast<size_t>(i)];
      if ((i == 0 ? F::kGradA : F::kGradB) == Reads::Passes) {
        d = dy[0];
      } else {
        d = Tensor::empty(dy[0].shape(), {dy[0].dtype(), dy[0].device()});
        (i == 0 ? kernels.backward_a : kernels.backward_b)(formula, geometry, at, bt, dy[0], d);
      }
    }
    return dx;
  }
  F formula;
  Saved a, b;
};

// A bf16 activation and an f32 parameter.
inline bool meets_parameter(const Tensor& a, const Tensor& b) {
  return (a.dtype() == DType::BF16 && b.dtype() == DType::F32) ||
         (a.dtype() == DType::F32 && b.dtype() == DType::BF16);
}

// The text of why two operands do not go together; out of the way of those that do.
[[gnu::cold, gnu::noinline]] inline void refuse_operands(const char* op, const Tensor& a, const Tensor& b) {
  check(a.defined() && b.defined(), op, ": ", a.defined() ? "b" : "a", " is undefined");
  check<DTypeError>(a.dtype() == b.dtype() || meets_parameter(a, b), op, ": dtypes differ (", describe(a),
                    " and ", describe(b), "); hint: cast one with to(dtype)");
  check<DeviceError>(a.device() == b.device(), op, ": devices differ (", a.device(), " and ", b.device(),
                     "); hint: move one with to(device)");
}

template <class F>
Tensor binary(const F& formula, const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined() || a.dtype() != b.dtype() || a.device() != b.device()) [[unlikely]] {
    refuse_operands(F::kName, a, b);
    return binary(formula, a.to(DType::F32), b.to(DType::F32)).to(DType::BF16);
  }
  const BroadcastGeometry geometry = broadcast_geometry(F::kName, a.shape(), b.shape());
  Tensor y = Tensor::empty(geometry.shape, {a.dtype(), a.device()});
  const BinaryEntry<F>& kernels = pointwise_backend(a.device());
  kernels.forward(formula, geometry, a, b, y);
  if (!recorded(a) && !recorded(b)) return y;
  return record<BinaryNode<F>>(y, {a, b}, [&](BinaryNode<F>& node) {
    node.formula = formula;
    const bool da = a.requires_grad(), db = b.requires_grad();
    if ((da && reads_a(F::kGradA)) || (db && reads_a(F::kGradB))) node.a = a;
    if ((da && reads_b(F::kGradA)) || (db && reads_b(F::kGradB))) node.b = b;
  });
}

}  // namespace tern
