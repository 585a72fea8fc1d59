#include "tern/ops/pointwise.h"

#include "tern/ops/pointwise_nodes.h"

namespace tern {

Tensor add(const Tensor& a, const Tensor& b) { return binary(Add{}, a, b); }
Tensor sub(const Tensor& a, const Tensor& b) { return binary(Sub{}, a, b); }
Tensor mul(const Tensor& a, const Tensor& b) { return binary(Mul{}, a, b); }
Tensor relu(const Tensor& x) { return unary(Relu{}, x); }

}  // namespace tern
