#include "tern/ops/matmul.h"

#include "tern/core/autograd.h"
#include "tern/ops/multiply_adds.h"

namespace tern {
namespace {

MatmulGeometry matmul_geometry(const Tensor& a, const Tensor& b, MatmulOptions options) {
  check<UsageError>(a.defined() && b.defined(), "matmul: both operands must be defined tensors");
  check<ShapeError>(a.rank() == 2 && b.rank() == 2, "matmul: operands must be matrices, got ", a.shape(),
                    " and ", b.shape(), "; hint: reshape to two axes");
  check<DTypeError>(a.dtype() == DType::F32 || a.dtype() == DType::F64, "matmul: operand is ", a.dtype(),
                    "; supported are f32 and f64");
  check<DTypeError>(a.dtype() == b.dtype(), "matmul: operands are ", a.dtype(), " and ", b.dtype(),
                    "; both must have one type");
  check<DeviceError>(a.device() == b.device(), "matmul: operands are on ", a.device(), " and ", b.device(),
                     "; hint: move one with .to(device)");
  const MatmulGeometry g{.m = a.size(options.transpose_a ? 1 : 0),
                         .n = b.size(options.transpose_b ? 0 : 1),
                         .k = a.size(options.transpose_a ? 0 : 1),
                         .transpose_a = options.transpose_a,
                         .transpose_b = options.transpose_b};
  const int64_t inner = b.size(options.transpose_b ? 1 : 0);
  check<ShapeError>(g.k == inner, "matmul: inner sizes ", g.k, " and ", inner, " differ (", a.shape(),
                    options.transpose_a ? "^T" : "", " times ", b.shape(), options.transpose_b ? "^T" : "",
                    ")");
  return g;
}

Tensor product(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b) {
  const MatmulGeometry g = matmul_geometry(a, b, {.transpose_a = transpose_a, .transpose_b = transpose_b});
  const Tensor y = Tensor::empty({g.m, g.n}, a.options());
  matmul_into(g, a, b, {}, y);
  return y;
}

struct MatmulNode final : OpNode<MatmulNode> {
  static constexpr std::string_view kName = "matmul";
  Gradients backward(const Gradients& dys) override {
    const Tensor& dy = dys[0];
    const bool ta = options.transpose_a, tb = options.transpose_b;
    Gradients gradients(2);
    if (needs(0))
      gradients[0] = ta ? product(b.get(*this), tb, dy, true) : product(dy, false, b.get(*this), !tb);
    if (needs(1))
      gradients[1] = tb ? product(dy, true, a.get(*this), ta) : product(a.get(*this), !ta, dy, false);
    return gradients;
  }
  MatmulOptions options;
  Saved a, b;
};

}  // namespace

void matmul_into(const MatmulGeometry& g, const Tensor& a, const Tensor& b, const Tensor& bias,
                 const Tensor& y) {
  on_device(
      a.device(), [&] { cpu::matmul(g, a, b, bias, y); }, [&] { cu::matmul(g, a, b, bias, y); });
}

Tensor matmul(const Tensor& a, const Tensor& b, MatmulOptions options) {
  const Tensor y = product(a, options.transpose_a, b, options.transpose_b);
  count_multiply_adds(y.numel() * a.size(options.transpose_a ? 0 : 1));
  return record<MatmulNode>(y, {a, b}, [&](MatmulNode& node) {
    node.options = options;
    if (b.requires_grad()) node.a = a;
    if (a.requires_grad()) node.b = b;
  });
}

}  // namespace tern
