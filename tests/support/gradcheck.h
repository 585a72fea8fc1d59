#pragma once
// The gradient check: for y = f(x1 .. xn) in f64, every entry of the Jacobian from backward against the
// central difference (f(x + eps) - f(x - eps)) / (2 eps). Full Jacobian, eps 1e-6, rtol 1e-5, atol 1e-8;
// backward runs twice and must give the same bits.

#include <functional>
#include <vector>

#include "tern/core/tensor.h"

namespace tern::test {

struct GradcheckOptions {
  double eps = 1e-6, rtol = 1e-5, atol = 1e-8;
};

// inputs: f64; gradients are checked for each input that is floating and defined. Reports through EXPECT.
void gradcheck(const std::function<Tensor(const std::vector<Tensor>&)>& f, std::vector<Tensor> inputs,
               GradcheckOptions options = {});

}  // namespace tern::test
