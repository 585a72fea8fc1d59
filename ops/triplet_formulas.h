#pragma once
// What one triplet costs, and its slope, on a value type V (float, double, a machine vector, a CUDA thread's
// float). gap = d_ap - d_an.

#include "tern/ops/math.h"

namespace tern {

// l = max(0, gap + margin), dl/dgap = 1 where gap + margin > 0.
struct TripletHinge {
  double margin;
  template <class V>
  HD V value(V gap) const {
    const V x = gap + V(margin);
    return select(x <= V(0), V(0), x);  // NaN passes
  }
  template <class V>
  HD V slope(V gap) const {
    return select(gap + V(margin) <= V(0), V(0), V(1));
  }
};

// l = log(1 + exp(gap)), dl/dgap = 1 / (1 + exp(-gap)); gap itself above 20.
struct TripletSoft {
  template <class V>
  HD V value(V gap) const {
    const V soft = select(gap > V(0), gap, V(0)) + math::log1p(math::exp(-math::abs(gap)));
    return select(gap > V(20), gap, soft);
  }
  template <class V>
  HD V slope(V gap) const {
    return select(gap > V(20), V(1), math::sigmoid(gap));
  }
};

}  // namespace tern
