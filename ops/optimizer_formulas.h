#pragma once
// The update rules of the optimizers, per element, written once on a value type V (double, a machine vector,
// a CUDA thread's float). Rules and rounding order are PyTorch's. g is scaled first, which is how a gradient
// is clipped.

#include "tern/ops/math.h"

namespace tern {

// g <- scale g + decay p;  m <- momentum m + g;  p <- p - lr (nesterov ? g + momentum m : m).
// With m = 0 at first the first buffer is the gradient itself. Source: Sutskever et al., ICML 2013.
template <class V>
struct SgdFormula {
  V lr, momentum, decay, scale;
  bool nesterov;

  HD void plain(V& p, V g) const { p = p - lr * (scale * g + decay * p); }
  HD void with_momentum(V& p, V g, V& m) const {
    g = scale * g + decay * p;
    m = momentum * m + g;
    p = p - lr * (nesterov ? g + momentum * m : m);
  }
};

// g <- scale g + decay p;  p <- shrink p;  m <- m + (1 - beta1)(g - m);  v <- beta2 v + (1 - beta2) g^2;
// p <- p - step m / (sqrt(v) root + eps), step = lr / (1 - beta1^t), root = 1 / sqrt(1 - beta2^t).
// Adam has shrink = 1 (decay enters the gradient), AdamW decay = 0 and shrink = 1 - lr weight_decay.
// Source: Kingma, Ba, ICLR 2015; Loshchilov, Hutter, ICLR 2019.
template <class V>
struct AdamFormula {
  V step, new_weight1, beta2, new_weight2, root, eps, decay, shrink, scale;

  HD void operator()(V& p, V g, V& m, V& v) const {
    g = scale * g + decay * p;
    m = m + new_weight1 * (g - m);
    v = beta2 * v + new_weight2 * g * g;
    p = shrink * p - step * m / (math::sqrt(v) * root + eps);
  }
};

// The numbers of a rule as the host calculates them; a formula on V rounds each of them once.
struct SgdRule {
  double lr, momentum, decay, nesterov;  // nesterov: 0 or 1
  template <class V>
  HD SgdFormula<V> formula(double scale) const {
    return {static_cast<V>(lr), static_cast<V>(momentum), static_cast<V>(decay), static_cast<V>(scale),
            nesterov != 0};
  }
};
struct AdamRule {
  double step, new_weight1, beta2, new_weight2, root, eps, decay, shrink;
  template <class V>
  HD AdamFormula<V> formula(double scale) const {
    return {static_cast<V>(step),        static_cast<V>(new_weight1), static_cast<V>(beta2),
            static_cast<V>(new_weight2), static_cast<V>(root),        static_cast<V>(eps),
            static_cast<V>(decay),       static_cast<V>(shrink),      static_cast<V>(scale)};
  }
};

// What a gradient is multiplied with so that its norm is at most clip (0: any). PyTorch's clip_grad_norm_.
HD double clip_scale(double norm, double clip) {
  const double scale = clip / (norm + 1e-6);
  return clip > 0 && scale < 1 ? scale : 1.0;
}

}  // namespace tern
