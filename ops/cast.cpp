// Tensor::to(): casting between element types and moving between devices. Declared in core/tensor.h.
//
//   cast   y = T(x)    dx = cast(dy, type of x)    between floating types; integer casts carry no gradient
//   move   y = x       dx = move(dy, device of x)

#include "tern/ops/cast.h"

#include "tern/core/allocator.h"
#include "tern/core/autograd.h"

namespace tern {
namespace {

struct CastNode final : OpNode<CastNode> {
  static constexpr std::string_view kName = "cast";
  Gradients backward(const Gradients& dy) override { return {dy[0].to(from)}; }
  DType from = DType::F32;
};

struct MoveNode final : OpNode<MoveNode> {
  static constexpr std::string_view kName = "to";
  Gradients backward(const Gradients& dy) override { return {dy[0].to(from)}; }
  Device from;
};

}  // namespace

Tensor Tensor::to(DType wanted) const {
  if (dtype() == wanted) return *this;
  const Tensor y = empty(shape(), {.dtype = wanted, .device = device()});
  on_device(
      device(), [&] { cpu::cast(*this, y); }, [&] { cu::cast(*this, y); });
  if (!is_floating(dtype()) || !is_floating(wanted)) return y;
  return record<CastNode>(y, {*this}, [&](CastNode& node) { node.from = dtype(); });
}

Tensor Tensor::to(Device wanted) const {
  if (device() == wanted) return *this;
  const Tensor y = empty(shape(), {.dtype = dtype(), .device = wanted});
  copy_bytes(y.raw_data(), wanted, raw_data(), device(), bytes());
  if (!is_floating(dtype())) return y;
  return record<MoveNode>(y, {*this}, [&](MoveNode& node) { node.from = device(); });
}

}  // namespace tern
