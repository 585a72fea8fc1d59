#pragma once
// What one pair costs, and its slope, on a value type V (float, double, a machine vector, a CUDA thread's
// float). d: the pair's distance.

#include "tern/ops/math.h"

namespace tern {

// same:       l = d^2 / 2              dl/dd = d
// different:  l = max(0, m - d)^2 / 2  dl/dd = -max(0, m - d)
struct HadsellPair {
  double margin;
  template <class V>
  HD V gap(V d) const {
    const V x = V(margin) - d;
    return select(x <= V(0), V(0), x);  // NaN passes
  }
  template <class V>
  HD V value(V d, bool same) const {
    const V x = same ? d : gap(d);
    return V(0.5) * x * x;
  }
  // (dl/dd) / d, what (a - b) is multiplied by; 0 at d = 0 for a pair that differs.
  template <class V>
  HD V slope(V d, bool same) const {
    if (same) return V(1);
    return select(d == V(0), V(0), -gap(d) / select(d == V(0), V(1), d));
  }
};

}  // namespace tern
