#pragma once
// Arithmetic and activation functions, element by element. Formulas and gradients: ops/formulas.h, where a
// function of one tensor has its name on the line below its formula: relu(x), gelu(x), silu(x), ...
//
//   add a + b        da = dy              db = dy              maximum, minimum   dy to the operand taken,
//   sub a - b        da = dy              db = -dy                                half to each where equal
//   mul a b          da = dy b            db = dy a            pow x^p            dy p x^(p-1)
//   div a / b        da = dy / b          db = -dy a / b^2     clamp              dy where low <= x <= high
//   neg -x           -dy                                       sigmoid 1/(1+e^-x) dy y (1 - y)
//   exp e^x          dy y                                      tanh               dy (1 - y^2)
//   log x            dy / x                                    gelu x Phi(x)      dy (Phi(x) + x Phi'(x))
//   log1p ln(1 + x)  dy / (1 + x)                              erf                dy 2 e^(-x^2) / sqrt pi
//   sqrt x           dy / (2 y)                                silu x sigmoid(x)  dy s (1 + x (1 - s))
//   square x^2       2 dy x                                    softplus ln(1+e^x) dy sigmoid(x)
//   abs |x|          dy sign(x)                                relu max(x, 0)     dy where x > 0
//   leaky_relu       dy where x > 0, else slope dy             prelu              likewise, and for the slope
//                                                                                 dw = sum dy x where x <= 0
//   softplus is x itself above 20.
//
// x[..] -> y[..]; two operands broadcast as in NumPy and must have one dtype, except that bf16 (an
// activation) meets f32 (a parameter): computed in f32, stored as bf16. f32, f64 and bf16; other element
// types throw DTypeError, shapes that do not meet ShapeError. One pass over the data; what a gradient needs
// is kept, nothing else. Where formulas have a kink the gradient is PyTorch's (ops/formulas.h). NaN in gives
// NaN out. Source: the gradients are calculus; conventions at kinks, PyTorch's
// tools/autograd/derivatives.yaml.

#include <limits>

#include "tern/core/tensor.h"
#include "tern/ops/formulas.h"

namespace tern {

Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
Tensor maximum(const Tensor& a, const Tensor& b);
Tensor minimum(const Tensor& a, const Tensor& b);

Tensor add(const Tensor& a, double b);
Tensor sub(const Tensor& a, double b);
Tensor sub(double a, const Tensor& b);
Tensor mul(const Tensor& a, double b);
Tensor div(const Tensor& a, double b);
Tensor div(double a, const Tensor& b);
Tensor maximum(const Tensor& a, double b);
Tensor minimum(const Tensor& a, double b);

inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator+(const Tensor& a, double b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, double b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, double b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, double b) { return div(a, b); }
inline Tensor operator+(double a, const Tensor& b) { return add(b, a); }
inline Tensor operator-(double a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(double a, const Tensor& b) { return mul(b, a); }
inline Tensor operator/(double a, const Tensor& b) { return div(a, b); }

inline Tensor operator-(const Tensor& x) { return neg(x); }
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);    // natural
Tensor log1p(const Tensor& x);  // log(1 + x)
Tensor sqrt(const Tensor& x);   // the gradient at 0 is infinite
Tensor abs(const Tensor& x);
Tensor pow(const Tensor& x, double exponent);  // C's pow: NaN for x < 0 unless the exponent is an integer
// Throws UsageError unless low <= high.
Tensor clamp(const Tensor& x, double low, double high = std::numeric_limits<double>::infinity());

Tensor leaky_relu(const Tensor& x, double slope = 0.01);
Tensor tanh(const Tensor& x);
Tensor erf(const Tensor& x);

namespace cpu {
// a += b in place, shapes and dtypes equal; f32 and f64.
void add_in_place(const Tensor& a, const Tensor& b);
}  // namespace cpu
namespace cu {
void add_in_place(const Tensor& a, const Tensor& b);
}  // namespace cu

}  // namespace tern
