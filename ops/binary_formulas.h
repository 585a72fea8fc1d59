#pragma once
// The pointwise formulas of two operands, y = f(a, b): forward(a, b); backward_a(a, b, dy) = dy df/da and
// backward_b = dy df/db. kGradA and kGradB say what each of them reads (an operand nobody reads is not kept),
// or that dy passes as it is. Equal operands of maximum and minimum share the gradient. The rules that all
// formulas follow, and the typelist, are in ops/formulas.h.

#include "tern/ops/math.h"

namespace tern {

enum class Saves { Nothing, Input, Output };
enum class Reads { Passes, Nothing, A, B, Both };
constexpr bool reads_a(Reads r) { return r == Reads::A || r == Reads::Both; }
constexpr bool reads_b(Reads r) { return r == Reads::B || r == Reads::Both; }

// clang-format off
struct Add {
  static constexpr const char* kName = "add";
  static constexpr Reads kGradA = Reads::Passes, kGradB = Reads::Passes;
  template <class V> HD V forward(V a, V b) const { return a + b; }
  template <class V> HD V backward_a(V, V, V dy) const { return dy; }
  template <class V> HD V backward_b(V, V, V dy) const { return dy; }
};

struct Sub {
  static constexpr const char* kName = "sub";
  static constexpr Reads kGradA = Reads::Passes, kGradB = Reads::Nothing;
  template <class V> HD V forward(V a, V b) const { return a - b; }
  template <class V> HD V backward_a(V, V, V dy) const { return dy; }
  template <class V> HD V backward_b(V, V, V dy) const { return -dy; }
};

struct Mul {
  static constexpr const char* kName = "mul";
  static constexpr Reads kGradA = Reads::B, kGradB = Reads::A;
  template <class V> HD V forward(V a, V b) const { return a * b; }
  template <class V> HD V backward_a(V, V b, V dy) const { return dy * b; }
  template <class V> HD V backward_b(V a, V, V dy) const { return dy * a; }
};

struct Div {
  static constexpr const char* kName = "div";
  static constexpr Reads kGradA = Reads::B, kGradB = Reads::Both;
  template <class V> HD V forward(V a, V b) const { return a / b; }
  template <class V> HD V backward_a(V, V b, V dy) const { return dy / b; }
  template <class V> HD V backward_b(V a, V b, V dy) const { return -dy * ((a / b) / b); }
};

struct Maximum {
  static constexpr const char* kName = "maximum";
  static constexpr Reads kGradA = Reads::Both, kGradB = Reads::Both;
  template <class V> HD V forward(V a, V b) const { return math::maximum(a, b); }
  template <class V> HD V backward_a(V a, V b, V dy) const { return select(a < b, V(0), select(a == b, dy * V(0.5), dy)); }
  template <class V> HD V backward_b(V a, V b, V dy) const { return backward_a(b, a, dy); }
};

struct Minimum {
  static constexpr const char* kName = "minimum";
  static constexpr Reads kGradA = Reads::Both, kGradB = Reads::Both;
  template <class V> HD V forward(V a, V b) const { return math::minimum(a, b); }
  template <class V> HD V backward_a(V a, V b, V dy) const { return select(a > b, V(0), select(a == b, dy * V(0.5), dy)); }
  template <class V> HD V backward_b(V a, V b, V dy) const { return backward_a(b, a, dy); }
};

// x where x > 0, else w x: the slope is learned.
struct Prelu {
  static constexpr const char* kName = "prelu";
  static constexpr Reads kGradA = Reads::Both, kGradB = Reads::A;
  template <class V> HD V forward(V x, V w) const { return select(x > V(0), x, w * x); }
  template <class V> HD V backward_a(V x, V w, V dy) const { return select(x > V(0), dy, w * dy); }
  template <class V> HD V backward_b(V x, V, V dy) const { return select(x > V(0), V(0), x * dy); }
};

// A binary formula with a number on the right (x - 2) or on the left (2 - x).
template <class B>
struct RightScalar {
  static constexpr const char* kName = B::kName;
  static constexpr Saves kSaves = reads_a(B::kGradA) ? Saves::Input : Saves::Nothing;
  template <class V> HD V forward(V x) const { return B{}.forward(x, V(scalar)); }
  template <class V> HD V backward(V x, V dy) const { return B{}.backward_a(x, V(scalar), dy); }
  double scalar = 1.25;
};
template <class B>
struct LeftScalar {
  static constexpr const char* kName = B::kName;
  static constexpr Saves kSaves = reads_b(B::kGradB) ? Saves::Input : Saves::Nothing;
  template <class V> HD V forward(V x) const { return B{}.forward(V(scalar), x); }
  template <class V> HD V backward(V x, V dy) const { return B{}.backward_b(V(scalar), x, dy); }
  double scalar = 1.25;
};
// clang-format on

}  // namespace tern
