#include "tern/ops/pointwise.h"

#include <array>

#include "tern/ops/pointwise_nodes.h"

namespace tern {

template <class F>
Tensor pointwise(const Tensor& x) {
  return unary(F{}, x);
}

namespace {

template <class... F>
constexpr auto functions_of(FormulaList<F...>) {
  return std::array{&pointwise<F>...};
}

}  // namespace

// Taking the address of a formula's function makes it; a table that others could read keeps it.
namespace detail {
extern const decltype(functions_of(UnaryFormulas{})) pointwise_functions;
constinit const decltype(functions_of(UnaryFormulas{})) pointwise_functions = functions_of(UnaryFormulas{});
}  // namespace detail

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

Tensor exp(const Tensor& x) { return unary(Exp{}, x); }
Tensor log(const Tensor& x) { return unary(Log{}, x); }
Tensor log1p(const Tensor& x) { return unary(Log1p{}, x); }
Tensor sqrt(const Tensor& x) { return unary(Sqrt{}, x); }
Tensor abs(const Tensor& x) { return unary(Abs{}, x); }
Tensor pow(const Tensor& x, double exponent) { return exponent == 2 ? square(x) : unary(Pow{exponent}, x); }
Tensor clamp(const Tensor& x, double low, double high) {
  check(low <= high, "clamp: low ", low, " is above high ", high);
  return unary(Clamp{low, high}, x);
}

Tensor leaky_relu(const Tensor& x, double slope) { return unary(LeakyRelu{slope}, x); }
Tensor tanh(const Tensor& x) { return unary(Tanh{}, x); }
Tensor erf(const Tensor& x) { return unary(Erf{}, x); }

}  // namespace tern
