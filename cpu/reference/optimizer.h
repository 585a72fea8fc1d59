#pragma once
// The optimizers, the naive loops: each element in f64, its state rounded to f32.

#include "tern/ops/optimizer_formulas.h"

namespace tern::cpu::reference {

inline double squared_norm(int64_t n, const float* g) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(g[i]) * static_cast<double>(g[i]);
  return sum;
}

inline void sgd(const SgdFormula<double>& rule, int64_t n, const float* g, float* p, float* m) {
  for (int64_t i = 0; i < n; ++i) {
    double parameter = p[i];
    if (m) {
      double momentum = m[i];
      rule.with_momentum(parameter, g[i], momentum);
      m[i] = static_cast<float>(momentum);
    } else {
      rule.plain(parameter, g[i]);
    }
    p[i] = static_cast<float>(parameter);
  }
}

inline void adam(const AdamFormula<double>& rule, int64_t n, const float* g, float* p, float* m, float* v) {
  for (int64_t i = 0; i < n; ++i) {
    double parameter = p[i], first = m[i], second = v[i];
    rule(parameter, g[i], first, second);
    p[i] = static_cast<float>(parameter);
    m[i] = static_cast<float>(first);
    v[i] = static_cast<float>(second);
  }
}

}  // namespace tern::cpu::reference
