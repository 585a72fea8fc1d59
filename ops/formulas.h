#pragma once
// Every pointwise formula: its forward value and the gradient it passes back, written once on a value type V that is
// float, double, a machine vector or a CUDA thread's float. Branch-free: select(c, a, b) instead of ?:, NaN passes.
//
// Unary y = f(x): forward(x); backward(s, dy) = dy f'(x), where s is what kSaves says is kept: x, y or nothing.
// Binary y = f(a, b): forward(a, b); backward_a(a, b, dy) = dy df/da and backward_b, kReadsA / kReadsB say whether the
// gradients read a and b (what is not read is not kept). Parameters are members, in double.
// At kinks the gradient is PyTorch's: relu'(0) = 0, |x|'(0) = 0, clamp passes it on the closed interval.
//
// A new formula is a struct here, its row in the typelist below, its row in tests/ops/pointwise_table.h, and its
// public function in ops/pointwise.h.

#include "tern/ops/math.h"
#include "tern/ops/math_pow.h"

namespace tern {

enum class Saves { Nothing, Input, Output };

struct BinaryFormula {
  static constexpr bool kReadsA = true, kReadsB = true;     // what the gradients read
  static constexpr bool kPassesA = false, kPassesB = false;  // the gradient is dy itself
};

struct Add : BinaryFormula {
  static constexpr const char* kName = "add";
  static constexpr bool kReadsA = false, kReadsB = false, kPassesA = true, kPassesB = true;
  template <class V> HD V forward(V a, V b) const { return a + b; }
  template <class V> HD V backward_a(V, V, V dy) const { return dy; }
  template <class V> HD V backward_b(V, V, V dy) const { return dy; }
};

struct Sub : BinaryFormula {
  static constexpr const char* kName = "sub";
  static constexpr bool kReadsA = false, kReadsB = false, kPassesA = true;
  template <class V> HD V forward(V a, V b) const { return a - b; }
  template <class V> HD V backward_a(V, V, V dy) const { return dy; }
  template <class V> HD V backward_b(V, V, V dy) const { return -dy; }
};

struct Mul : BinaryFormula {
  static constexpr const char* kName = "mul";
  template <class V> HD V forward(V a, V b) const { return a * b; }
  template <class V> HD V backward_a(V, V b, V dy) const { return dy * b; }
  template <class V> HD V backward_b(V a, V, V dy) const { return dy * a; }
};

struct Relu {
  static constexpr const char* kName = "relu";
  static constexpr Saves kSaves = Saves::Output;
  template <class V> HD V forward(V x) const { return select(x <= V(0), V(0), x); }
  template <class V> HD V backward(V y, V dy) const { return select(y <= V(0), V(0), dy); }
};

template <class... F>
struct FormulaList {};

using UnaryFormulas = FormulaList<Relu>;
using BinaryFormulas = FormulaList<Add, Sub, Mul>;

}  // namespace tern
