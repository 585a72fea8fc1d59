#pragma once
// Every pointwise formula: its forward value and the gradient it passes back, written once on a value type V
// that is float, double, a machine vector or a CUDA thread's float. Branch-free: select(c, a, b) instead of
// ?:, NaN passes.
//
// Unary y = f(x): forward(x); backward(s, dy) = dy f'(x), where s is what kSaves says is kept: x, y or
// nothing. Formulas of two operands are in ops/binary_formulas.h. Parameters are members, in double. At kinks
// the gradient is PyTorch's: relu'(0) = 0, |x|'(0) = 0, clamp passes it on the closed interval, sqrt'(0) is
// infinite.
//
// A new formula is a struct here with its public name on the line below, its row in the typelist at the end,
// and its row in tests/ops/pointwise_table.h.

#include "tern/ops/binary_formulas.h"
#include "tern/ops/math.h"
#include "tern/ops/math_pow.h"

namespace tern {

// The public function of a unary formula as it stands, recorded for its gradient: relu is pointwise<Relu>.
// Only declared here, since vector kernels see this file and no Tensor; ops/pointwise.cpp makes one for every
// formula of the typelist. Formulas with parameters or two operands, and names that the C library has for
// numbers, are functions of ops/pointwise.h instead: those are overloaded.
class Tensor;
template <class F>
Tensor pointwise(const Tensor& x);

// clang-format off
struct Neg {
  static constexpr const char* kName = "neg";
  static constexpr Saves kSaves = Saves::Nothing;
  template <class V> HD V forward(V x) const { return -x; }
  template <class V> HD V backward(V, V dy) const { return -dy; }
};
inline constexpr auto& neg = pointwise<Neg>;

struct Exp {
  static constexpr const char* kName = "exp";
  static constexpr Saves kSaves = Saves::Output;
  template <class V> HD V forward(V x) const { return math::exp(x); }
  template <class V> HD V backward(V y, V dy) const { return dy * y; }
};

struct Log {
  static constexpr const char* kName = "log";
  static constexpr Saves kSaves = Saves::Input;
  template <class V> HD V forward(V x) const { return math::log(x); }
  template <class V> HD V backward(V x, V dy) const { return dy / x; }
};

struct Log1p {
  static constexpr const char* kName = "log1p";
  static constexpr Saves kSaves = Saves::Input;
  template <class V> HD V forward(V x) const { return math::log1p(x); }
  template <class V> HD V backward(V x, V dy) const { return dy / (V(1) + x); }
};

struct Sqrt {
  static constexpr const char* kName = "sqrt";
  static constexpr Saves kSaves = Saves::Output;
  template <class V> HD V forward(V x) const { return math::sqrt(x); }
  template <class V> HD V backward(V y, V dy) const { return dy / (y + y); }
};

struct Square {
  static constexpr const char* kName = "square";
  static constexpr Saves kSaves = Saves::Input;
  template <class V> HD V forward(V x) const { return x * x; }
  template <class V> HD V backward(V x, V dy) const { return dy * (x + x); }
};
inline constexpr auto& square = pointwise<Square>;

struct Abs {
  static constexpr const char* kName = "abs";
  static constexpr Saves kSaves = Saves::Input;
  template <class V> HD V forward(V x) const { return math::abs(x); }
  template <class V> HD V backward(V x, V dy) const { return select(x > V(0), dy, select(x < V(0), -dy, V(0))); }
};

struct Pow {
  static constexpr const char* kName = "pow";
  static constexpr Saves kSaves = Saves::Input;
  template <class V> HD V forward(V x) const { return math::pow(x, V(exponent)); }
  template <class V> HD V backward(V x, V dy) const {
    return select(V(exponent) == V(0), V(0), dy * V(exponent) * math::pow(x, V(exponent - 1)));
  }
  double exponent = 2.5;
};

struct Clamp {
  static constexpr const char* kName = "clamp";
  static constexpr Saves kSaves = Saves::Input;
  template <class V> HD V forward(V x) const {
    const V raised = select(x < V(low), V(low), x);
    return select(raised > V(high), V(high), raised);
  }
  template <class V> HD V backward(V x, V dy) const { return select(x >= V(low), select(x <= V(high), dy, V(0)), V(0)); }
  double low = -0.75, high = 1.5;
};

struct Relu {
  static constexpr const char* kName = "relu";
  static constexpr Saves kSaves = Saves::Output;
  template <class V> HD V forward(V x) const { return select(x <= V(0), V(0), x); }
  template <class V> HD V backward(V y, V dy) const { return select(y <= V(0), V(0), dy); }
};
inline constexpr auto& relu = pointwise<Relu>;

struct LeakyRelu {
  static constexpr const char* kName = "leaky_relu";
  static constexpr Saves kSaves = Saves::Input;
  template <class V> HD V forward(V x) const { return select(x > V(0), x, x * V(slope)); }
  template <class V> HD V backward(V x, V dy) const { return select(x > V(0), dy, dy * V(slope)); }
  double slope = 0.01;
};

struct Sigmoid {
  static constexpr const char* kName = "sigmoid";
  static constexpr Saves kSaves = Saves::Output;
  template <class V> HD V forward(V x) const { return math::sigmoid(x); }
  template <class V> HD V backward(V y, V dy) const { return dy * (y * (V(1) - y)); }
};
inline constexpr auto& sigmoid = pointwise<Sigmoid>;

struct Tanh {
  static constexpr const char* kName = "tanh";
  static constexpr Saves kSaves = Saves::Output;
  template <class V> HD V forward(V x) const { return math::tanh(x); }
  template <class V> HD V backward(V y, V dy) const { return dy * (V(1) - y * y); }
};

struct Erf {
  static constexpr const char* kName = "erf";
  static constexpr Saves kSaves = Saves::Input;
  template <class V> HD V forward(V x) const { return math::erf(x); }
  template <class V> HD V backward(V x, V dy) const {
    return dy * V(1.12837916709551257390) * math::gaussian(x * V(1.41421356237309504880));
  }
};

// x Phi(x), Phi the normal distribution; Phi' = e^(-x^2/2) / sqrt(2 pi).
struct Gelu {
  static constexpr const char* kName = "gelu";
  static constexpr Saves kSaves = Saves::Input;
  template <class V> HD V forward(V x) const { return x * math::normal_cdf(x); }
  template <class V> HD V backward(V x, V dy) const {
    return dy * (math::normal_cdf(x) + x * V(0.39894228040143267794) * math::gaussian(x));
  }
};
inline constexpr auto& gelu = pointwise<Gelu>;

struct Silu {
  static constexpr const char* kName = "silu";
  static constexpr Saves kSaves = Saves::Input;
  template <class V> HD V forward(V x) const { return x * math::sigmoid(x); }
  template <class V> HD V backward(V x, V dy) const {
    const V s = math::sigmoid(x);
    return dy * (s * (V(1) + x * (V(1) - s)));
  }
};
inline constexpr auto& silu = pointwise<Silu>;

// x relu6(x + 3) / 6: 0 up to -3, x from 3 on. At -3 and 3 the gradient is that of the outer pieces, 0 and 1.
// Source: Howard et al., "Searching for MobileNetV3", ICCV 2019.
struct Hardswish {
  static constexpr const char* kName = "hardswish";
  static constexpr Saves kSaves = Saves::Input;
  template <class V> HD V forward(V x) const {
    const V relu6 = select(x <= V(-3), V(0), select(x >= V(3), V(6), x + V(3)));
    return x * (relu6 / V(6));
  }
  template <class V> HD V backward(V x, V dy) const {
    return select(x <= V(-3), V(0), select(x >= V(3), dy, dy * (x / V(3) + V(0.5))));
  }
};
inline constexpr auto& hardswish = pointwise<Hardswish>;

// log(1 + e^x), x itself above 20.
struct Softplus {
  static constexpr const char* kName = "softplus";
  static constexpr Saves kSaves = Saves::Input;
  template <class V> HD V forward(V x) const { return select(x > V(20), x, math::log1p(math::exp(x))); }
  template <class V> HD V backward(V x, V dy) const { return select(x > V(20), dy, dy * math::sigmoid(x)); }
};
inline constexpr auto& softplus = pointwise<Softplus>;
// clang-format on

template <class... F>
struct FormulaList {};

using UnaryFormulas =
    FormulaList<Neg, Exp, Log, Log1p, Sqrt, Square, Abs, Pow, Clamp, Relu, LeakyRelu, Sigmoid, Tanh, Erf,
                Gelu, Silu, Hardswish, Softplus, RightScalar<Add>, RightScalar<Mul>, RightScalar<Div>,
                RightScalar<Maximum>, RightScalar<Minimum>, LeftScalar<Sub>, LeftScalar<Div>>;
using BinaryFormulas = FormulaList<Add, Sub, Mul, Div, Maximum, Minimum, Prelu>;

}  // namespace tern
