#include "tests/support/gradcheck.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tern/core/autograd.h"
#include "tern/ops/creation.h"
#include "tests/support/tensors.h"

namespace tern::test {
namespace {

using Function = std::function<Tensor(const std::vector<Tensor>&)>;

bool differentiable(const Tensor& x) { return x.defined() && is_floating(x.dtype()) && x.requires_grad(); }

// Row `output` of the Jacobian by backward: the gradients of y[output] with respect to every input.
std::vector<std::vector<double>> backward_row(const Function& f, std::vector<Tensor>& inputs,
                                              int64_t output) {
  for (Tensor& x : inputs)
    if (differentiable(x)) x.clear_grad();
  const Tensor y = f(inputs);
  Tensor dy = zeros_like(y);
  dy.mutable_data<double>()[output] = 1;
  y.backward(dy);
  std::vector<std::vector<double>> row;
  for (const Tensor& x : inputs) {
    const Tensor grad = differentiable(x) ? x.grad() : Tensor();
    row.push_back(grad.defined() ? grad.to_vector() : std::vector<double>(x.defined() ? x.numel() : 0, 0.0));
  }
  return row;
}

std::vector<double> value_at(const Function& f, std::vector<Tensor>& inputs, size_t input, int64_t at,
                             double x) {
  NoGradGuard no_grad;
  double* data = inputs[input].mutable_data<double>();
  const double before = data[at];
  data[at] = x;
  auto y = f(inputs).to_vector();
  inputs[input].mutable_data<double>()[at] = before;
  return y;
}

}  // namespace

void gradcheck(const Function& f, std::vector<Tensor> inputs, GradcheckOptions options) {
  for (Tensor& x : inputs) {
    if (!x.defined() || !is_floating(x.dtype())) continue;
    ASSERT_EQ(x.dtype(), DType::F64) << "gradcheck needs f64 inputs";
    x = x.clone().set_requires_grad();
  }
  const Tensor y = f(inputs);
  ASSERT_EQ(y.dtype(), DType::F64);
  ASSERT_TRUE(y.requires_grad()) << "the output does not depend on any input that requires a gradient";
  std::vector<std::vector<std::vector<double>>> jacobian;
  for (int64_t o = 0; o < y.numel(); ++o) {
    jacobian.push_back(backward_row(f, inputs, o));
    EXPECT_EQ(jacobian.back(), backward_row(f, inputs, o)) << "two backward runs differ";
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!differentiable(inputs[i])) continue;
    for (int64_t k = 0; k < inputs[i].numel(); ++k) {
      const double x = inputs[i].data<double>()[k];
      const auto above = value_at(f, inputs, i, k, x + options.eps);
      const auto below = value_at(f, inputs, i, k, x - options.eps);
      for (int64_t o = 0; o < y.numel(); ++o) {
        const auto at = static_cast<size_t>(o);
        const double numeric = (above[at] - below[at]) / (2 * options.eps);
        const double analytic = jacobian[at][i][static_cast<size_t>(k)];
        // Cancellation in the difference costs about |y| 2^-52 / eps.
        const double noise = (std::fabs(above[at]) + 1) * 0x1p-51 / options.eps;
        EXPECT_LE(std::fabs(analytic - numeric), options.atol + noise + options.rtol * std::fabs(numeric))
            << "output " << o << ", input " << i << " element " << k << ": backward " << analytic
            << ", difference " << numeric;
      }
    }
  }
}

}  // namespace tern::test
