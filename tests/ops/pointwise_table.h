#pragma once
// What every pointwise formula should be: its value and its derivatives written with the C library in double,
// and where to look. A formula of the typelists without a row here fails the tests.

#include <cmath>
#include <string>
#include <vector>

#include "tern/ops/formulas.h"

namespace tern::test {

struct UnaryRow {
  std::string name;
  double (*value)(double);
  double (*slope)(double);
  double low = -8, high = 8;  // for gradients
  std::vector<double> kinks = {};
  double least = -1e38;  // for values: the domain runs from here to 1e38
  double tiny = 0;       // results below it are only right to 4 ULP of it: they have a subnormal factor
};

struct BinaryRow {
  std::string name;
  double (*value)(double, double);
  double (*slope_a)(double, double);
  double (*slope_b)(double, double);
};

// Parameters are the defaults of the structs in ops/formulas.h.
inline double sigma(double x) { return 1 / (1 + std::exp(-x)); }
inline double phi(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * M_PI); }
inline double normal(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

inline const std::vector<UnaryRow>& unary_rows() {
  static const std::vector<UnaryRow> rows = {
      {"neg", [](double x) { return -x; }, [](double) { return -1.0; }},
      {"exp", [](double x) { return std::exp(x); }, [](double x) { return std::exp(x); }, -3, 3},
      {"log", [](double x) { return std::log(x); }, [](double x) { return 1 / x; }, 0.1, 5, {}, 0},
      {"log1p",
       [](double x) { return std::log1p(x); },
       [](double x) { return 1 / (1 + x); },
       -0.7,
       5,
       {},
       -1},
      {"sqrt",
       [](double x) { return std::sqrt(x); },
       [](double x) { return 0.5 / std::sqrt(x); },
       0.1,
       5,
       {},
       0},
      {"square", [](double x) { return x * x; }, [](double x) { return 2 * x; }},
      {"abs", [](double x) { return std::fabs(x); }, [](double x) { return x > 0 ? 1.0 : -1.0; }, -8, 8, {0}},
      {"pow",
       [](double x) { return std::pow(x, 2.5); },
       [](double x) { return 2.5 * std::pow(x, 1.5); },
       0.1,
       5,
       {},
       0},
      {"clamp",
       [](double x) { return std::isnan(x) ? x : std::fmin(std::fmax(x, -0.75), 1.5); },
       [](double x) { return x >= -0.75 && x <= 1.5 ? 1.0 : 0.0; },
       -8,
       8,
       {-0.75, 1.5}},
      {"relu",
       [](double x) { return x <= 0 ? 0.0 : x; },
       [](double x) { return x > 0 ? 1.0 : 0.0; },
       -8,
       8,
       {0}},
      {"leaky_relu",
       [](double x) { return x > 0 ? x : x * 0.01; },
       [](double x) { return x > 0 ? 1 : 0.01; },
       -8,
       8,
       {0}},
      {"sigmoid", sigma, [](double x) { return sigma(x) * sigma(-x); }},
      {"tanh", [](double x) { return std::tanh(x); }, [](double x) { return 1 / std::pow(std::cosh(x), 2); }},
      {"erf", [](double x) { return std::erf(x); },
       [](double x) { return 2 / std::sqrt(M_PI) * std::exp(-x * x); }},
      {"gelu",
       [](double x) { return x * normal(x); },
       [](double x) { return normal(x) + x * phi(x); },
       -8,
       8,
       {},
       -1e38,
       1e-36},
      {"silu",
       [](double x) { return x * sigma(x); },
       [](double x) { return sigma(x) * (1 + x * sigma(-x)); },
       -8,
       8,
       {},
       -1e38,
       1e-36},
      {"hardswish",
       [](double x) { return x * std::fmin(std::fmax(x + 3, 0), 6) / 6; },
       [](double x) { return x <= -3  ? 0.0
                             : x >= 3 ? 1.0
                                      : x / 3 + 0.5; },
       -8,
       8,
       {-3, 3}},
      {"softplus", [](double x) { return x > 20 ? x : std::log1p(std::exp(x)); }, sigma},
      {"add_scalar", [](double x) { return x + 1.25; }, [](double) { return 1.0; }},
      {"mul_scalar", [](double x) { return x * 1.25; }, [](double) { return 1.25; }},
      {"div_scalar", [](double x) { return x / 1.25; }, [](double) { return 0.8; }},
      {"maximum_scalar",
       [](double x) { return x < 1.25 ? 1.25 : x; },
       [](double x) { return x > 1.25 ? 1.0 : 0.0; },
       -8,
       8,
       {1.25}},
      {"minimum_scalar",
       [](double x) { return x > 1.25 ? 1.25 : x; },
       [](double x) { return x < 1.25 ? 1.0 : 0.0; },
       -8,
       8,
       {1.25}},
      {"scalar_sub", [](double x) { return 1.25 - x; }, [](double) { return -1.0; }},
      {"scalar_div", [](double x) { return 1.25 / x; }, [](double x) { return -1.25 / (x * x); }, 0.3, 5},
  };
  return rows;
}

inline const std::vector<BinaryRow>& binary_rows() {
  static const std::vector<BinaryRow> rows = {
      {"add", [](double a, double b) { return a + b; }, [](double, double) { return 1.0; },
       [](double, double) { return 1.0; }},
      {"sub", [](double a, double b) { return a - b; }, [](double, double) { return 1.0; },
       [](double, double) { return -1.0; }},
      {"mul", [](double a, double b) { return a * b; }, [](double, double b) { return b; },
       [](double a, double) { return a; }},
      {"div", [](double a, double b) { return a / b; }, [](double, double b) { return 1 / b; },
       [](double a, double b) { return -a / (b * b); }},
      {"maximum", [](double a, double b) { return a != a   ? a
                                                  : b != b ? b
                                                  : a > b  ? a
                                                           : b; },
       [](double a, double b) { return a > b    ? 1.0
                                       : a == b ? 0.5
                                                : 0.0; },
       [](double a, double b) { return b > a    ? 1.0
                                       : a == b ? 0.5
                                                : 0.0; }},
      {"minimum", [](double a, double b) { return a != a   ? a
                                                  : b != b ? b
                                                  : a < b  ? a
                                                           : b; },
       [](double a, double b) { return a < b    ? 1.0
                                       : a == b ? 0.5
                                                : 0.0; },
       [](double a, double b) { return b < a    ? 1.0
                                       : a == b ? 0.5
                                                : 0.0; }},
      {"prelu", [](double x, double w) { return x > 0 ? x : w * x; },
       [](double x, double w) { return x > 0 ? 1.0 : w; }, [](double x, double) { return x > 0 ? 0.0 : x; }},
  };
  return rows;
}

template <class F>
std::string key_of(const F&) {
  return F::kName;
}
template <class B>
std::string key_of(const RightScalar<B>&) {
  return std::string(B::kName) + "_scalar";
}
template <class B>
std::string key_of(const LeftScalar<B>&) {
  return std::string("scalar_") + B::kName;
}

template <class Row>
const Row* find_row(const std::vector<Row>& rows, const std::string& name) {
  for (const Row& row : rows)
    if (row.name == name) return &row;
  return nullptr;
}

// body(formula) for every formula of a typelist.
template <class... F, class Body>
void for_each_formula(FormulaList<F...>, const Body& body) {
  (body(F{}), ...);
}

}  // namespace tern::test
