#include "tern/ops/pointwise.h"

#include "tern/ops/pointwise_nodes.h"

namespace tern {

Tensor add(const Tensor& a, const Tensor& b) { return binary(Add{}, a, b); }
Tensor sub(const Tensor& a, const Tensor& b) { return binary(Sub{}, a, b); }
Tensor mul(const Tensor& a, const Tensor& b) { return binary(Mul{}, a, b); }
Tensor div(const Tensor& a, const Tensor& b) { return binary(Div{}, a, b); }
Tensor maximum(const Tensor& a, const Tensor& b) { return binary(Maximum{}, a, b); }
Tensor minimum(const Tensor& a, const Tensor& b) { return binary(Minimum{}, a, b); }

Tensor add(const Tensor& a, double b) { return unary(RightScalar<Add>{b}, a); }
Tensor sub(const Tensor& a, double b) { return unary(RightScalar<Add>{-b}, a); }
Tensor sub(double a, const Tensor& b) { return unary(LeftScalar<Sub>{a}, b); }
Tensor mul(const Tensor& a, double b) { return unary(RightScalar<Mul>{b}, a); }
Tensor div(const Tensor& a, double b) { return unary(RightScalar<Div>{b}, a); }
Tensor div(double a, const Tensor& b) { return unary(LeftScalar<Div>{a}, b); }
Tensor maximum(const Tensor& a, double b) { return unary(RightScalar<Maximum>{b}, a); }
Tensor minimum(const Tensor& a, double b) { return unary(RightScalar<Minimum>{b}, a); }

Tensor neg(const Tensor& x) { return unary(Neg{}, x); }
Tensor exp(const Tensor& x) { return unary(Exp{}, x); }
Tensor log(const Tensor& x) { return unary(Log{}, x); }
Tensor log1p(const Tensor& x) { return unary(Log1p{}, x); }
Tensor sqrt(const Tensor& x) { return unary(Sqrt{}, x); }
Tensor square(const Tensor& x) { return unary(Square{}, x); }
Tensor abs(const Tensor& x) { return unary(Abs{}, x); }
Tensor pow(const Tensor& x, double exponent) { return exponent == 2 ? square(x) : unary(Pow{exponent}, x); }
Tensor clamp(const Tensor& x, double low, double high) {
  check(low <= high, "clamp: low ", low, " is above high ", high);
  return unary(Clamp{low, high}, x);
}

Tensor relu(const Tensor& x) { return unary(Relu{}, x); }
Tensor leaky_relu(const Tensor& x, double slope) { return unary(LeakyRelu{slope}, x); }
Tensor sigmoid(const Tensor& x) { return unary(Sigmoid{}, x); }
Tensor tanh(const Tensor& x) { return unary(Tanh{}, x); }
Tensor erf(const Tensor& x) { return unary(Erf{}, x); }
Tensor gelu(const Tensor& x) { return unary(Gelu{}, x); }
Tensor silu(const Tensor& x) { return unary(Silu{}, x); }
Tensor softplus(const Tensor& x) { return unary(Softplus{}, x); }

}  // namespace tern
