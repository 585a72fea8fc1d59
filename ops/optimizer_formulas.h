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
    p = shrink * p - step * m / (sqrt(v) * root + eps);
  }
};

}  // namespace tern
